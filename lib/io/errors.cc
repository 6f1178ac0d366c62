#include "lib/io/errors.h"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

namespace ursula::io {
namespace {

StatusCode CodeOf(int error) {
  switch (error) {
    case ENOENT:
      return StatusCode::kFailedPrecondition;
    case ENOSPC:
    case EDQUOT:
      return StatusCode::kStorageFull;
    case EMFILE:
    case ENFILE:
      return StatusCode::kResourceExhausted;
    default:
      return StatusCode::kIoError;
  }
}

}  // namespace

Status IoError(std::string_view call, std::string_view path, int error) {
  std::string message(call);
  message.append(" ").append(path).append(": ");
  message.append(std::generic_category().message(error));  // strerror shares a buffer.
  return Status(CodeOf(error), std::move(message));
}

}  // namespace ursula::io
