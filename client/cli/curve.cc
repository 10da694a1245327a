#include "client/cli/curve.h"

#include <algorithm>
#include <cmath>

namespace petit::cli {
namespace {

constexpr const char* kBlocks[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};

const char* Block(double value, const CurveRange& range) {
  if (!std::isfinite(value)) return "?";
  const double share = range.high > range.low ? (value - range.low) / (range.high - range.low) : 0.5;
  return kBlocks[static_cast<std::size_t>(std::clamp(std::lround(share * 7), 0L, 7L))];
}

}  // namespace

void CurveRange::Include(double value) {
  if (!std::isfinite(value)) return;
  low = empty ? value : std::min(low, value);
  high = empty ? value : std::max(high, value);
  empty = false;
}

void CurveRange::Include(const CurveRange& other) {
  if (other.empty) return;
  Include(other.low);
  Include(other.high);
}

void Curve::Add(std::int64_t step, double value) {
  while (!points_.empty() && points_.back().step >= step) points_.pop_back();
  if (points_.size() >= max_points_) {
    std::vector<Point> halved;
    for (std::size_t i = 0; i + 1 < points_.size(); i += 2) {
      halved.push_back({.step = points_[i + 1].step, .value = (points_[i].value + points_[i + 1].value) / 2});
    }
    if (points_.size() % 2 != 0) halved.push_back(points_.back());
    points_ = std::move(halved);
  }
  points_.push_back({.step = step, .value = value});
}

CurveRange Curve::Range() const {
  CurveRange range;
  for (const Point& point : points_) range.Include(point.value);
  return range;
}

std::string Curve::Draw(std::size_t columns, const CurveRange& range) const {
  columns = std::min(columns, points_.size());
  std::string text;
  for (std::size_t i = 0; i < columns; ++i) {
    const std::size_t begin = i * points_.size() / columns;
    const std::size_t end = (i + 1) * points_.size() / columns;
    double sum = 0;
    for (std::size_t k = begin; k < end; ++k) sum += points_[k].value;
    text += Block(sum / static_cast<double>(end - begin), range);
  }
  return text;
}

}  // namespace petit::cli
