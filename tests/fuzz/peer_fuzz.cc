// What a peer sends: a frame, its letters, the messages and calls in them; or a founder's hello.
// The input is a frame without its head, which is put before it, so that its checksum holds; then
// the same bytes as they are. What is read is written again as it was, or in the one way that means
// the same.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/engine/ask_format.h"
#include "lib/group/letter_format.h"
#include "lib/meta/founding_format.h"
#include "lib/peers/beats_format.h"
#include "lib/peers/frame_format.h"
#include "lib/peers/said_beats.h"

namespace ursula {
namespace {

constexpr uint64_t kCluster = 5;

void CheckLetter(const Bytes& body) {
  Result<group::AddressedLetter> letter = group::DecodeLetter(body);
  if (!letter.ok()) return;
  ByteParts parts;
  group::EncodeLetter(*letter, &parts);
  const Bytes encoded = parts.TakeJoined();
  URSULA_CHECK(encoded.size() <= body.size());  // A varint may have been longer than need be.
  Result<group::AddressedLetter> again = group::DecodeLetter(encoded);
  URSULA_CHECK(again.ok());
  ByteParts twice;
  group::EncodeLetter(*again, &twice);
  URSULA_CHECK(twice.TakeJoined() == encoded);
}

template <class Letter>
Bytes Written(const Letter& letter) {
  ByteParts parts;
  if constexpr (std::is_same_v<Letter, engine::CallLetter>) {
    URSULA_CHECK(engine::IsEncodable(letter.ask));
    engine::EncodeCall(letter, &parts);
  } else {
    engine::EncodeAnswer(letter, &parts);
  }
  return parts.TakeJoined();
}

template <class Letter>
void CheckCall(const Bytes& body, Result<Letter> (*decode)(const Bytes&)) {
  Result<Letter> letter = decode(body);
  if (!letter.ok()) return;
  URSULA_CHECK(engine::PeekId(body) == letter->id);
  const Bytes encoded = Written(*letter);
  Result<Letter> again = decode(encoded);
  URSULA_CHECK(again.ok());
  URSULA_CHECK(Written(*again) == encoded);
}

void CheckBeats(std::string_view encoded) {
  std::optional<peers::Beats> record = peers::DecodeBeats(encoded);
  if (!record) return;
  const std::optional<peers::Beats> again = peers::DecodeBeats(peers::EncodeBeats(&*record));
  URSULA_CHECK(again && *again == *record);
}

// Said again, and again with its number alone.
void CheckHeard(std::string_view letter, peers::HeardBeats* heard) {
  peers::Beats first;
  if (heard->Read(letter, &first) != peers::HeardBeats::Heard::kRecord) return;
  peers::SaidBeats said(7);
  peers::Beats encoded = first;
  const std::string record = peers::EncodeBeats(&encoded);
  peers::HeardBeats fresh;  // What the input says may be of that line, too.
  for (int i = 0; i < 5; ++i) {
    peers::Beats read;
    URSULA_CHECK(fresh.Read(said.Write(record), &read) == peers::HeardBeats::Heard::kRecord);
    URSULA_CHECK(read == encoded);
  }
}

void CheckFrame(const Bytes& frame) {
  std::optional<std::vector<peers::Letter>> letters = peers::ParseFrame(frame, kCluster);
  if (!letters) return;
  peers::HeardBeats heard;
  for (const peers::Letter& letter : *letters) {
    CheckHeard(letter.body.view(), &heard);
    CheckBeats(letter.body.view());
    CheckLetter(letter.body);
    CheckCall(letter.body, engine::DecodeCall);
    CheckCall(letter.body, engine::DecodeAnswer);
  }
}

void CheckHello(const Bytes& frame) {
  Result<meta::FoundingHello> hello = meta::DecodeFoundingHello(frame);
  if (!hello.ok()) return;
  Result<meta::FoundingHello> again = meta::DecodeFoundingHello(meta::EncodeFoundingHello(*hello));
  URSULA_CHECK(again.ok() && *again == *hello);
}

void Run(std::string_view input) {
  const Bytes body = Bytes::Copy(input);
  CheckLetter(body);
  CheckCall(body, engine::DecodeCall);
  CheckCall(body, engine::DecodeAnswer);
  CheckFrame(Bytes::Copy(input));
  std::string frame;
  PutFixed<uint8_t>(&frame, peers::kFrameVersion);
  std::string rest;
  PutFixed<uint64_t>(&rest, kCluster);
  rest.append(input);
  PutFixed<uint32_t>(&frame, Crc32c(0, rest));
  frame.append(rest);
  CheckFrame(Bytes::Take(std::move(frame)));
  std::string hello;
  PutFixed<uint8_t>(&hello, meta::kFoundingFrame);
  PutFixed<uint8_t>(&hello, meta::kFoundingVersion);
  PutFixed<uint32_t>(&hello, Crc32c(0, input));
  hello.append(input);
  CheckHello(Bytes::Take(std::move(hello)));
  CheckHello(Bytes::Copy(input));
}

}  // namespace
}  // namespace ursula

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
