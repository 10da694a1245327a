// Says what is wrong with bytes that Protobuf refuses to parse. C++ Protobuf only says no; gRPC would turn that into
// INTERNAL without a word.
#ifndef PETIT_SERVER_RPC_WIRE_CHECK_H_
#define PETIT_SERVER_RPC_WIRE_CHECK_H_

#include <string>
#include <string_view>

#include "google/protobuf/descriptor.h"

namespace petit::serving {

struct WireProblem {
  // The field with bad UTF-8, as "texts[2]" or "options.model"; empty where the bytes are no such message at all.
  std::string field;
  // The whole sentence: "texts[2]: byte 17 is not valid UTF-8; texts must be UTF-8".
  std::string message;
};

// The first problem, walking the wire format with the type's descriptor. Only for bytes that did not parse.
WireProblem FindWireProblem(std::string_view wire, const google::protobuf::Descriptor& type);

// The message without its top-level length-delimited fields of this number. `wire` must be well framed.
std::string WithoutField(std::string_view wire, int field_number);

}  // namespace petit::serving

#endif  // PETIT_SERVER_RPC_WIRE_CHECK_H_
