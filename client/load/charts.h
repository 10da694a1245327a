// A run's charts.
#ifndef PETIT_CLIENT_LOAD_CHARTS_H_
#define PETIT_CLIENT_LOAD_CHARTS_H_

#include <string>
#include <vector>

#include "client/load/run.h"
#include "client/report/chart.h"

namespace petit::load {

// Latency percentiles of each model, texts a second, and errors where there are any.
std::vector<report::Chart> ChartsOverTime(const Report& report);
// How latencies are distributed, of each phase and model.
std::vector<report::Chart> DistributionCharts(const Report& report);
// Latency and goodput by rate, where phases of several rates were complete.
std::vector<report::Chart> RateCharts(const Report& report);

// "student, 20 texts/s", as short as the report allows.
std::string SeriesName(const Report& report, std::size_t phase, std::size_t model);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_CHARTS_H_
