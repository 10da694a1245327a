// Settings as one number: a state may only be resumed under the settings that it began with.
#ifndef PETIT_MODELS_DISTILL_FINGERPRINT_H_
#define PETIT_MODELS_DISTILL_FINGERPRINT_H_

#include <string>

#include "models/distill/settings.h"

namespace petit::distill {

// Hex, of everything that the weights depend on: all settings but paths and the times of checkpoints, and the digests
// of checkpoints and data.
std::string Fingerprint(const Settings& settings, const std::string& teacher_digest, const std::string& initial_digest,
                        const std::string& data_digest);

}  // namespace petit::distill

#endif  // PETIT_MODELS_DISTILL_FINGERPRINT_H_
