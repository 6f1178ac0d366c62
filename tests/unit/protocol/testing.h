// Short ways to requests and responses for the tests of server/protocol.

#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "server/protocol/request_mapping.h"

namespace ursula::protocol {

inline Request MakeRequest(Method method, std::string_view target,
                           std::initializer_list<Header> headers = {}, std::string_view body = {}) {
  Request request;
  request.method = method;
  request.target = target;
  request.headers = headers;
  if (request.headers.Count("Host") == 0) request.headers.Add("Host", "example:4437");
  request.body = Bytes::Copy(body);
  return request;
}

inline Action Map(const Request& request) { return MapRequest(request, ProtocolConfig{}); }

inline std::string BodyOf(const std::vector<Bytes>& parts) {
  std::string body;
  for (const Bytes& part : parts) body += part.view();
  return body;
}

// The value, or "(none)".
inline std::string HeaderOf(const Response& response, std::string_view name) {
  return std::string(response.headers.Find(name).value_or("(none)"));
}

// "400 INVALID_JSON" of an error; the status alone of anything without an error body.
inline std::string ErrorOf(const Response& response) {
  std::string error = std::to_string(response.status);
  std::string body = BodyOf(response.body);
  constexpr std::string_view kStart = "{\"error\":{\"code\":\"";
  if (!body.starts_with(kStart)) return error;
  std::string_view code = std::string_view(body).substr(kStart.size());
  return error + " " + std::string(code.substr(0, code.find('"')));
}

// The refusal of a request that is answered at once, or what it would do instead.
inline std::string ErrorOf(const Action& action) {
  if (const auto* response = std::get_if<Response>(&action)) return ErrorOf(*response);
  if (const auto* guarded = std::get_if<GuardedRefusal>(&action)) {
    return "guarded " + ErrorOf(guarded->refusal);
  }
  return "action " + std::to_string(action.index());
}

// The action of type T; a failed test and an empty one if it is another.
template <class T>
T Take(Action action) {
  if (T* wanted = std::get_if<T>(&action)) return std::move(*wanted);
  ADD_FAILURE() << "another action: " << ErrorOf(action);
  return T{};
}

}  // namespace ursula::protocol
