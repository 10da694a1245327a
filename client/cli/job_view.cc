#include "client/cli/job_view.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "client/cli/progress.h"
#include "client/lib/jobs.h"

namespace petit::cli {
namespace {

using petit::v1::DevScore;
using petit::v1::JobEvent;

bool Continues(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

std::size_t Width(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) { return !Continues(c); }));
}

double Share(const petit::v1::Progress& progress) {
  if (progress.total_steps() <= 0) return 0;
  return std::clamp(static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps()), 0.0, 1.0);
}

std::string Steps(const petit::v1::Progress& progress) {
  return absl::StrCat("step ", progress.step(), "/", progress.total_steps());
}

std::string TimeLeft(const petit::v1::Progress& progress) {
  if (progress.step() >= progress.total_steps() || progress.eta_seconds() <= 0) return "";
  return FormatRemaining(absl::Seconds(progress.eta_seconds())) + " left";
}

std::string Bar(double share) {
  constexpr int kWidth = 30;
  const int filled = static_cast<int>(share * kWidth);
  return absl::StrCat("[", std::string(filled, '#'), std::string(kWidth - filled, '-'), "]");
}

// "in: test BLEU ...; other BLEU ...". A set whose scores are not of `step` says of which they are.
std::string DomainScores(const std::vector<DevScore>& scores, bool out_of_domain, std::int64_t step) {
  std::vector<std::string> parts;
  for (const DevScore& score : scores) {
    if (score.out_of_domain() != out_of_domain) continue;
    parts.push_back(absl::StrCat(score.set(), " ", FormatDevScore(score),
                                 score.step() == step ? "" : absl::StrCat(" @", score.step())));
  }
  if (parts.empty()) return "";
  return absl::StrCat(out_of_domain ? "out: " : "in: ", absl::StrJoin(parts, "; "));
}

}  // namespace

std::string Cut(const std::string& text, std::size_t columns) {
  std::string cut;
  std::size_t width = 0;
  for (const char c : text) {
    if (!Continues(c) && width++ == columns) break;
    const auto byte = static_cast<unsigned char>(c);
    cut += byte < 0x20 || byte == 0x7F ? ' ' : c;
  }
  return cut;
}

std::string FormatProgress(const petit::v1::Progress& progress) {
  std::string text =
      absl::StrFormat("%s (%d%%), epoch %.2f, %.0f tokens/s", Steps(progress), static_cast<int>(100 * Share(progress)),
                      progress.epoch(), progress.tokens_per_second());
  if (const std::string left = TimeLeft(progress); !left.empty()) absl::StrAppend(&text, ", ", left);
  return text;
}

std::string FormatDevScore(const DevScore& score) {
  std::string text = absl::StrFormat("BLEU %.2f chrF %.2f CE %.4f", score.bleu(), score.chrf(), score.cross_entropy());
  if (score.has_kl()) absl::StrAppendFormat(&text, " KL %.4f", score.kl());
  return text;
}

std::string FormatArmProgress(const petit::v1::ArmProgress& progress) {
  std::string text = absl::StrFormat("CE %.4f KL %.4f", progress.cross_entropy(), progress.kl());
  if (progress.hidden_state_loss() != 0) absl::StrAppendFormat(&text, " hidden %.4g", progress.hidden_state_loss());
  absl::StrAppendFormat(&text, " lr %.4g", progress.learning_rate());
  return text;
}

std::string FormatStudent(const petit::v1::Student& student) {
  std::vector<std::string> parts;
  if (student.best()) parts.emplace_back("best");
  if (!student.published_as().empty()) parts.push_back("published as " + student.published_as());
  return parts.empty() ? "done" : absl::StrJoin(parts, ", ");
}

std::string FormatEvent(const JobEvent& event) {
  const absl::Time time = absl::FromUnixSeconds(event.time().seconds()) + absl::Nanoseconds(event.time().nanos());
  std::string text =
      absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", time, absl::LocalTimeZone()), "  #", event.sequence(), "  ");
  switch (event.event_case()) {
    case JobEvent::kStateChange:
      absl::StrAppend(&text, client::JobStateName(event.state_change().state()));
      if (event.state_change().attempt() > 0) absl::StrAppend(&text, " (attempt ", event.state_change().attempt(), ")");
      if (!event.state_change().reason().empty()) absl::StrAppend(&text, ": ", event.state_change().reason());
      break;
    case JobEvent::kProgress:
      absl::StrAppend(&text, FormatProgress(event.progress()));
      for (const petit::v1::ArmProgress& arm : event.progress().arms()) {
        absl::StrAppend(&text, "; ", arm.arm(), ": ", FormatArmProgress(arm));
      }
      break;
    case JobEvent::kDevScore: {
      const DevScore& score = event.dev_score();
      absl::StrAppend(&text, "dev ", score.set(), score.out_of_domain() ? " (out of domain)" : "", " at step ",
                      score.step(), "; ", score.arm(), ": ", FormatDevScore(score), " of ", score.pairs(), " pairs");
      break;
    }
    case JobEvent::kLog:
      absl::StrAppend(&text,
                      event.log().level() == petit::v1::LogLine::ERROR     ? "error: "
                      : event.log().level() == petit::v1::LogLine::WARNING ? "warning: "
                                                                           : "",
                      event.log().text());
      break;
    case JobEvent::kArmDropped:
      absl::StrAppend(&text, event.arm_dropped().arm(), " dropped at step ", event.arm_dropped().step());
      break;
    case JobEvent::kStudent:
      absl::StrAppend(&text, "student ", event.student().arm(), ": ", FormatStudent(event.student()), "; ",
                      event.student().checkpoint());
      break;
    case JobEvent::EVENT_NOT_SET:
      absl::StrAppend(&text, "an event that this client does not know");
      break;
  }
  return Cut(text, std::numeric_limits<std::size_t>::max());
}

JobView::Arm& JobView::FindArm(const std::string& name) {
  for (Arm& arm : arms_) {
    if (arm.name == name) return arm;
  }
  arms_.emplace_back().name = name;
  return arms_.back();
}

void JobView::Add(const JobEvent& event) {
  last_sequence_ = event.sequence();
  switch (event.event_case()) {
    case JobEvent::kStateChange:
      state_ = event.state_change().state();
      if (event.state_change().attempt() > 0) attempt_ = event.state_change().attempt();
      reason_ = event.state_change().reason();
      break;
    case JobEvent::kProgress:
      progress_ = event.progress();
      for (const petit::v1::ArmProgress& progress : progress_.arms()) {
        Arm& arm = FindArm(progress.arm());
        arm.progress = progress;
        arm.has_progress = true;
        arm.cross_entropy.Add(progress_.step(), progress.cross_entropy());
        arm.kl.Add(progress_.step(), progress.kl());
      }
      break;
    case JobEvent::kDevScore: {
      std::vector<DevScore>& scores = FindArm(event.dev_score().arm()).dev_scores;
      const auto found = std::find_if(scores.begin(), scores.end(),
                                      [&](const DevScore& score) { return score.set() == event.dev_score().set(); });
      if (found == scores.end()) {
        scores.push_back(event.dev_score());
      } else {
        *found = event.dev_score();
      }
      break;
    }
    case JobEvent::kArmDropped:
      FindArm(event.arm_dropped().arm()).fate = absl::StrCat("dropped at step ", event.arm_dropped().step());
      break;
    case JobEvent::kStudent: {
      // One that was dropped stays so.
      std::string& fate = FindArm(event.student().arm()).fate;
      if (fate.empty() || event.student().best()) fate = FormatStudent(event.student());
      break;
    }
    case JobEvent::kLog:
    case JobEvent::EVENT_NOT_SET:
      break;
  }
}

void JobView::RenderArm(const Arm& arm, const CurveRange& cross_entropy, const CurveRange& kl, std::size_t columns,
                        std::vector<std::string>& lines) const {
  lines.emplace_back();
  std::string head = arm.name;
  if (arm.has_progress) absl::StrAppendFormat(&head, "  lr %.4g", arm.progress.learning_rate());
  if (arm.progress.hidden_state_loss() != 0) {
    absl::StrAppendFormat(&head, "  hidden %.4g", arm.progress.hidden_state_loss());
  }
  if (!arm.fate.empty()) absl::StrAppend(&head, "  ", arm.fate);
  lines.push_back(std::move(head));
  if (arm.has_progress) {
    const auto add_curve = [&](const char* name, double value, const Curve& curve, const CurveRange& range) {
      std::string line = absl::StrFormat("  %s %8.4f  ", name, value);
      if (const std::size_t width = Width(line); width < columns) line += curve.Draw(columns - width, range);
      lines.push_back(std::move(line));
    };
    add_curve("CE", arm.progress.cross_entropy(), arm.cross_entropy, cross_entropy);
    add_curve("KL", arm.progress.kl(), arm.kl, kl);
  }
  if (arm.dev_scores.empty()) return;
  std::int64_t step = 0;
  for (const DevScore& score : arm.dev_scores) step = std::max(step, score.step());
  std::string line = absl::StrCat("  dev @", step, "  ");
  const std::string indent(line.size(), ' ');
  const std::string inside = DomainScores(arm.dev_scores, false, step);
  const std::string outside = DomainScores(arm.dev_scores, true, step);
  absl::StrAppend(&line, inside);
  if (!inside.empty() && !outside.empty()) {
    if (Width(line) + 2 + Width(outside) <= columns) {
      absl::StrAppend(&line, "  ");
    } else {
      lines.push_back(std::exchange(line, indent));
    }
  }
  lines.push_back(line + outside);
}

std::vector<std::string> JobView::Render(std::size_t columns) const {
  std::vector<std::string> lines;
  std::string head =
      absl::StrCat(name_, "  ", state_ == petit::v1::JOB_STATE_UNSPECIFIED ? "waiting" : client::JobStateName(state_));
  if (attempt_ > 1) absl::StrAppend(&head, "  attempt ", attempt_);
  if (!reason_.empty()) absl::StrAppend(&head, ": ", reason_);
  lines.push_back(std::move(head));
  if (progress_.total_steps() > 0) {
    std::string line =
        absl::StrFormat("%s %s %3d%%  epoch %.2f  %.0f tokens/s", Steps(progress_), Bar(Share(progress_)),
                        static_cast<int>(100 * Share(progress_)), progress_.epoch(), progress_.tokens_per_second());
    if (const std::string left = TimeLeft(progress_); !left.empty() && !client::HasEnded(state_)) {
      absl::StrAppend(&line, "  ", left);
    }
    lines.push_back(std::move(line));
  }
  CurveRange cross_entropy;
  CurveRange kl;
  for (const Arm& arm : arms_) {
    cross_entropy.Include(arm.cross_entropy.Range());
    kl.Include(arm.kl.Range());
  }
  for (const Arm& arm : arms_) RenderArm(arm, cross_entropy, kl, columns, lines);
  for (std::string& line : lines) line = Cut(line, columns);
  return lines;
}

}  // namespace petit::cli
