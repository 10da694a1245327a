// What a training run is, in plain structs. Fields mean what those of petit.v1.JobSpec mean; everything is checked and
// complete here.
#ifndef PETIT_MODELS_DISTILL_SETTINGS_H_
#define PETIT_MODELS_DISTILL_SETTINGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace petit::distill {

struct ArmSettings {
  std::string name;
  double alpha = 0.5;
  double learning_rate = 1e-5;
};

enum class Divergence { kForwardKl, kReverseKl };

struct LossSettings {
  double temperature = 2;
  Divergence divergence = Divergence::kForwardKl;
  double hidden_state_weight = 0;
  double label_smoothing = 0;
};

enum class OptimizerKind { kAdamW, kAdamWRmsScaled };
enum class Schedule { kConstant, kLinear, kCosine };

struct OptimizerSettings {
  OptimizerKind kind = OptimizerKind::kAdamW;
  Schedule schedule = Schedule::kLinear;
  std::int64_t warmup_steps = 0;
  double weight_decay = 0.01;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double max_gradient_norm = 1;  // 0: no clipping
};

enum class Labels { kReference, kTeacherGreedy, kTeacherBeam };

// Lines "SOURCE TAB TARGET".
struct TextSet {
  std::string name;  // of a dev set
  std::string path;
  std::string prefix;  // put before each source
  bool swap_columns = false;
  std::int64_t skip = 0;
  std::int64_t take = 0;  // 0: all
  // Training sets:
  double share = 0;  // 0: the set's size
  Labels labels = Labels::kReference;
  bool replay = false;
  // Dev sets:
  bool out_of_domain = false;
};

enum class StudentKind { kCheckpoint, kTeacherLayers, kRandom };

struct StudentSettings {
  StudentKind kind = StudentKind::kCheckpoint;
  std::string checkpoint;
  // Layers kept of the teacher (0: all), or those of a random student.
  int encoder_layers = 0;
  int decoder_layers = 0;
  // Random students.
  int d_model = 0;
  int d_kv = 0;
  int d_ff = 0;
  int num_heads = 0;
};

enum class TrainingPrecision { kFp32, kBf16 };

struct Settings {
  std::string teacher_checkpoint;  // empty: no teacher; then every alpha is 0
  StudentSettings student;
  std::vector<ArmSettings> arms;
  std::vector<TextSet> train;
  std::vector<TextSet> dev;
  LossSettings loss;
  OptimizerSettings optimizer;

  double epochs = 3;
  std::int64_t steps = 0;  // 0: by epochs
  int batch_size = 32;
  int micro_batch_size = 0;  // 0: batch_size
  int max_source_tokens = 128;
  int max_target_tokens = 128;
  std::optional<double> dropout;  // absent: config.json's
  std::uint64_t seed = 0;
  TrainingPrecision precision = TrainingPrecision::kFp32;
  std::int64_t eval_steps = 0;  // 0: a tenth of the run
  double checkpoint_seconds = 60;
  int teacher_cache_top_k = 0;  // 0: no cache
  bool halving = false;

  std::string device = "cpu";
  // State of this attempt (written), and of earlier ones (read), latest last.
  std::string state_directory;
  std::vector<std::string> earlier_state_directories;
  std::string students_directory;
  std::string cache_directory;
  // Put beside each student's weights as README.md, with {TABLE} replaced by its scores.
  std::string model_card;
};

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_SETTINGS_H_
