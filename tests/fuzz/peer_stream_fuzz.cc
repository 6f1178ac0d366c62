// What a peer says on a stream of ursulad's: a hello, the answer to one, or messages of frames,
// each after its length in a byte. What is read is written again as it was.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lib/base/check.h"
#include "server/peer/frame_records.h"
#include "server/peer/handshake_format.h"

namespace ursula::peer {
namespace {

void CheckHello(std::string_view input) {
  if (std::optional<Hello> hello = DecodeHello(input)) {
    Refusal(Hello(), *hello, {});
    if (CommonVersion(Hello(), *hello)) {
      const std::string again = EncodeHello(*hello);
      std::optional<Hello> read = DecodeHello(again);
      URSULA_CHECK(read && EncodeHello(*read) == again);
    }
  }
  if (std::optional<HelloReply> reply = DecodeHelloReply(input)) {
    URSULA_CHECK(input.starts_with(EncodeHelloReply(reply->hello_bytes, reply->mac)));
  }
  CleanSentence(input);
}

void CheckMessages(std::string_view input) {
  constexpr uint64_t kFrameBytesMax = 4096;
  FrameReader reader(kFrameBytesMax);
  std::vector<Bytes> frames;
  while (!input.empty()) {
    const std::size_t size = static_cast<uint8_t>(input.front());
    input.remove_prefix(1);
    const std::string_view message = input.substr(0, size);
    input.remove_prefix(message.size());
    const std::size_t half = message.size() / 2;
    const std::vector<std::string_view> pieces = {message.substr(0, half), message.substr(half)};
    if (!reader.Read(pieces, &frames)) break;
  }
  FrameQueue queue;
  for (const Bytes& frame : frames) {
    URSULA_CHECK(frame.size() <= kFrameBytesMax);
    queue.Push({frame}, frame.size());
  }
  FrameReader other(kFrameBytesMax);
  std::vector<Bytes> again;
  while (!queue.empty()) {
    std::vector<std::string_view> pieces;
    const FrameQueue::Message message = queue.Next(100);
    for (const Bytes& part : message.parts) pieces.push_back(part.view());
    URSULA_CHECK(other.Read(pieces, &again));
  }
  URSULA_CHECK(again == frames);
}

}  // namespace
}  // namespace ursula::peer

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  ursula::peer::CheckHello(input);
  ursula::peer::CheckMessages(input);
  return 0;
}
