#include "server/http/chunk_decoder.h"

#include <algorithm>

#include "server/http/characters.h"

namespace ursula::http {
namespace {

// As many as a 64-bit size needs; longer ones can only be zeros that hide something.
constexpr uint32_t kSizeDigitsMax = 16;

}  // namespace

ChunkDecoder::Event ChunkDecoder::Feed(std::string_view bytes, std::size_t* consumed) {
  std::size_t at = 0;
  data_ = {};
  while (at < bytes.size() && state_ != State::kDone && state_ != State::kFailed) {
    if (state_ == State::kData) {
      std::size_t piece = static_cast<std::size_t>(std::min<uint64_t>(size_, bytes.size() - at));
      data_ = bytes.substr(at, piece);
      size_ -= piece;
      if (size_ == 0) state_ = State::kDataCr;
      *consumed = at + piece;
      return Event::kData;
    }
    state_ = Step(bytes[at]);
    ++at;
  }
  *consumed = at;
  if (state_ == State::kFailed) return Event::kError;
  return state_ == State::kDone ? Event::kEnd : Event::kNeedMore;
}

ChunkDecoder::State ChunkDecoder::Fail(std::string_view reason) {
  reason_ = reason;
  return State::kFailed;
}

ChunkDecoder::State ChunkDecoder::Step(char c) {
  switch (state_) {
    case State::kSizeStart:
    case State::kSize:
    case State::kSizeLf:
      return StepSize(c);
    case State::kDataCr:
      return c == '\r' ? State::kDataLf : Fail("CR LF must follow the bytes of a chunk");
    case State::kDataLf:
      if (c != '\n') return Fail("CR LF must follow the bytes of a chunk");
      digits_ = 0;
      return State::kSizeStart;
    case State::kTrailerStart:
    case State::kTrailerName:
    case State::kTrailerValue:
    case State::kTrailerLf:
    case State::kEndLf:
      return StepTrailer(c);
    case State::kData:
    case State::kDone:
    case State::kFailed:
      return state_;
    default:
      return StepExtension(c);
  }
}

ChunkDecoder::State ChunkDecoder::StepSize(char c) {
  if (state_ == State::kSizeLf) {
    if (c != '\n') return Fail("a bare CR in a chunk's size line");
    return size_ == 0 ? State::kTrailerStart : State::kData;
  }
  int digit = HexDigitValue(c);
  if (digit < 0) {
    return state_ == State::kSize ? AfterSizeLine(c) : Fail("a chunk's size is hexadecimal");
  }
  if (++digits_ > kSizeDigitsMax) return Fail("a chunk's size has too many digits");
  size_ = size_ * 16 + static_cast<uint64_t>(digit);
  return State::kSize;
}

ChunkDecoder::State ChunkDecoder::AfterSizeLine(char c) {
  if (c == '\r') return State::kSizeLf;
  if (c == ';') return State::kExtensionStart;
  if (IsBlank(c)) return State::kSpaceAfterSize;
  return Fail("a chunk's size line holds something else");
}

ChunkDecoder::State ChunkDecoder::StepExtension(char c) {
  constexpr std::string_view kBad = "a malformed chunk extension";
  switch (state_) {
    case State::kSpaceAfterSize:  // Blanks may stand only before a ';'.
      if (IsBlank(c)) return state_;
      return c == ';' ? State::kExtensionStart : Fail("blanks after a chunk's size");
    case State::kExtensionStart:
      if (IsBlank(c)) return state_;
      return IsTokenCharacter(c) ? State::kExtensionName : Fail(kBad);
    case State::kExtensionName:
      if (IsTokenCharacter(c)) return state_;
      if (c == '=') return State::kValueStart;
      return IsBlank(c) ? State::kSpaceAfterName : AfterSizeLine(c);
    case State::kSpaceAfterName:
      if (IsBlank(c)) return state_;
      if (c == '=') return State::kValueStart;
      return c == ';' ? State::kExtensionStart : Fail(kBad);
    case State::kValueStart:
      if (IsBlank(c)) return state_;
      if (c == '"') return State::kQuoted;
      return IsTokenCharacter(c) ? State::kValue : Fail(kBad);
    case State::kValue:
      return IsTokenCharacter(c) ? state_ : AfterSizeLine(c);
    case State::kQuoted:
      if (c == '"') return State::kAfterQuoted;
      if (c == '\\') return State::kQuotedPair;
      return IsTextCharacter(c) ? state_ : Fail(kBad);
    case State::kQuotedPair:
      return IsTextCharacter(c) ? State::kQuoted : Fail(kBad);
    case State::kAfterQuoted:
      return AfterSizeLine(c);
    default:
      return Fail(kBad);
  }
}

ChunkDecoder::State ChunkDecoder::StepTrailer(char c) {
  constexpr std::string_view kBad = "a malformed trailer line";
  switch (state_) {
    case State::kTrailerStart:
      if (c == '\r') return State::kEndLf;
      return IsTokenCharacter(c) ? State::kTrailerName : Fail(kBad);
    case State::kTrailerName:
      if (c == ':') return State::kTrailerValue;
      return IsTokenCharacter(c) ? state_ : Fail(kBad);
    case State::kTrailerValue:
      if (c == '\r') return State::kTrailerLf;
      return IsTextCharacter(c) ? state_ : Fail(kBad);
    case State::kTrailerLf:
      return c == '\n' ? State::kTrailerStart : Fail(kBad);
    case State::kEndLf:
      return c == '\n' ? State::kDone : Fail("a bare CR where the body ends");
    default:
      return Fail(kBad);
  }
}

}  // namespace ursula::http
