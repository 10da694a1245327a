// A run's report as documents.
#ifndef PETIT_CLIENT_LOAD_RESULTS_H_
#define PETIT_CLIENT_LOAD_RESULTS_H_

#include <string>

#include "client/load/run.h"

namespace petit::load {

// JSON, schema "petit.load/1": times in seconds (latencies too), rates per second, shares from 0 to 1. Figures that
// were not measured are null.
//
//   schema, command, started, finished (RFC 3339, UTC), interrupted
//   versions {client, server}, hardware {cpu, logical_cpus, memory_bytes, os}
//   settings {server, method, texts, languages, arrivals, seed, max_in_flight, objective [term...], good_within}
//   models [{name, weight, version, digest, precision, executor, device}]
//   phases [{load, rate, rate_to, streams, complete, start, counted_from, end, held, verdicts [{term, holds, why}],
//     figures [{model (null: all), sent, not_sent, answered, good, failed, errors [{code, count, message}],
//       texts_per_second, tokens_per_second, goodput, latency {p50, p90, p95, p99, p999, max, mean}, lag {...},
//       queue {...}, first_token {...}, histogram {edges, counts}}]}]
//   search null or {best, broken}
//   series {interval, models [{model, points [{time, sent, answered, failed, tokens, errors {CODE: n}, p50, p95,
//   p99}]}]}
std::string FormatJson(const Report& report);

// One HTML file that needs nothing else, as petit report's: latencies, throughput and errors over time, the
// distribution of latencies, each with its numbers in a table.
std::string FormatHtml(const Report& report);

// Shared by the formats.

// Answers and tokens a second while the phase counted, and texts a second of its own that were answered well within the
// objective's limit. Zeros where it did not count for any time.
struct Throughput {
  double texts = 0;
  double tokens = 0;
  double goodput = 0;
};
Throughput ThroughputOf(const PhaseFigures& phase, const Figures& figures);

// "the generator could not keep up ...": what a reader has to know of how late texts were sent; empty: nothing.
std::string LagRemark(const Report& report);

}  // namespace petit::load

#endif  // PETIT_CLIENT_LOAD_RESULTS_H_
