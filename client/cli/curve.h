// Small curves of a run's figures, drawn with characters.
#ifndef PETIT_CLIENT_CLI_CURVE_H_
#define PETIT_CLIENT_CLI_CURVE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace petit::cli {

struct CurveRange {
  double low = 0;
  double high = 0;
  bool empty = true;

  void Include(double value);  // what is not finite is left out
  void Include(const CurveRange& other);
};

// A figure's history in bounded memory: when it is full, neighbours become their mean.
class Curve {
 public:
  explicit Curve(std::size_t max_points = 1024) : max_points_(max_points < 2 ? 2 : max_points) {}

  // Steps that come again, after a restart from a checkpoint, take the place of the old ones.
  void Add(std::int64_t step, double value);

  [[nodiscard]] CurveRange Range() const;
  // One character a column, of eight heights between range.low and range.high; at most `columns`, fewer where there are
  // fewer points. '?' stands for what is not a finite number.
  [[nodiscard]] std::string Draw(std::size_t columns, const CurveRange& range) const;

 private:
  struct Point {
    std::int64_t step;
    double value;
  };

  const std::size_t max_points_;
  std::vector<Point> points_;
};

}  // namespace petit::cli

#endif  // PETIT_CLIENT_CLI_CURVE_H_
