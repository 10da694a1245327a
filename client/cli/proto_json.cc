#include "client/cli/proto_json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>

#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "petit/v1/job.pb.h"

namespace petit::cli {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

Json Convert(const Message& message, bool zeros);

std::string EnumName(const FieldDescriptor& field, int number) {
  const google::protobuf::EnumValueDescriptor* const value = field.enum_type()->FindValueByNumber(number);
  if (value == nullptr) return std::to_string(number);
  return std::string(absl::StripPrefix(value->name(), "JOB_STATE_"));
}

// `index` -1: of a singular field.
Json Value(const Message& message, const FieldDescriptor& field, int index, bool zeros) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  const auto get = [&](auto singular, auto repeated) -> Json {
    if (index < 0) return (reflection.*singular)(message, &field);
    return (reflection.*repeated)(message, &field, index);
  };
  using R = google::protobuf::Reflection;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return get(&R::GetInt32, &R::GetRepeatedInt32);
    case FieldDescriptor::CPPTYPE_INT64:
      return get(&R::GetInt64, &R::GetRepeatedInt64);
    case FieldDescriptor::CPPTYPE_UINT32:
      return get(&R::GetUInt32, &R::GetRepeatedUInt32);
    case FieldDescriptor::CPPTYPE_UINT64:
      return get(&R::GetUInt64, &R::GetRepeatedUInt64);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return get(&R::GetDouble, &R::GetRepeatedDouble);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return get(&R::GetFloat, &R::GetRepeatedFloat);
    case FieldDescriptor::CPPTYPE_BOOL:
      return get(&R::GetBool, &R::GetRepeatedBool);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumName(field, index < 0 ? reflection.GetEnumValue(message, &field)
                                       : reflection.GetRepeatedEnumValue(message, &field, index));
    case FieldDescriptor::CPPTYPE_STRING:
      return get(&R::GetString, &R::GetRepeatedString);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return Convert(
          index < 0 ? reflection.GetMessage(message, &field) : reflection.GetRepeatedMessage(message, &field, index),
          zeros);
  }
  return nullptr;
}

Json Convert(const Message& message, bool zeros) {
  if (message.GetDescriptor() == google::protobuf::Timestamp::descriptor()) {
    const auto& time = static_cast<const google::protobuf::Timestamp&>(message);
    return absl::FormatTime(absl::RFC3339_full, absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                            absl::UTCTimeZone());
  }
  if (message.GetDescriptor() == petit::v1::JobSpec::descriptor()) zeros = false;
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  Json json = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor& field = *message.GetDescriptor()->field(i);
    if (field.is_repeated()) {
      const int size = reflection.FieldSize(message, &field);
      if (size == 0 && !zeros) continue;
      Json& list = json[field.name()] = Json::array();
      for (int k = 0; k < size; ++k) list.push_back(Value(message, field, k, zeros));
    } else if (reflection.HasField(message, &field) || (zeros && !field.has_presence())) {
      json[field.name()] = Value(message, field, -1, zeros);
    }
  }
  return json;
}

}  // namespace

Json ToJson(const Message& message) { return Convert(message, true); }

std::string ToJsonLine(const Message& message) {
  return ToJson(message).dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace petit::cli
