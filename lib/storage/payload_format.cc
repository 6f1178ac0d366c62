#include "lib/storage/payload_format.h"

#include <charconv>
#include <cstdio>

#include "lib/base/check.h"
#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/base/ids.h"

namespace ursula::storage {
namespace {

constexpr std::string_view kSuffix = ".pay";
// Header and message ends: one varint of at most 3 bytes for each byte of payload.
constexpr uint64_t kHeaderBytesMax = kPayloadBlockHeaderBytes + 3 * kPayloadBlockBytesMax;

bool ParseHex(std::string_view text, uint64_t* value) {
  auto end = std::from_chars(text.data(), text.data() + text.size(), *value, 16);
  return end.ec == std::errc() && end.ptr == text.data() + text.size();
}

uint32_t HeaderCrc(uint32_t seed, uint32_t offset, std::string_view header) {
  return Crc32c(PayloadBlockSeed(seed, offset), header.substr(8));
}

// Could one block hold it?
bool IsStretch(uint64_t start, uint64_t length) {
  return length <= kPayloadBlockBytesMax && start < kOffsetEnd && start + length <= kOffsetEnd;
}

void PutStretch(std::string* out, PayloadKey key, uint64_t start, uint32_t length) {
  PutVarint(out, Raw(key.group));
  PutVarint(out, key.incarnation);
  PutVarint(out, start);
  PutVarint(out, length);
}

struct Stretch {
  PayloadKey key = {};
  uint64_t start = 0;
  uint32_t length = 0;
};

// Nothing: no block holds that.
std::optional<Stretch> TakeStretch(Reader* reader) {
  const uint64_t group = reader->Varint();
  const uint64_t incarnation = reader->Varint();
  const uint64_t start = reader->Varint();
  const uint64_t length = reader->Varint();
  if (!reader->ok() || group > UINT32_MAX || !IsStretch(start, length)) return std::nullopt;
  return Stretch{
      {GroupId{static_cast<uint32_t>(group)}, incarnation}, start, static_cast<uint32_t>(length)};
}

// Nothing: no block before `blocks_end` is like that.
std::optional<PayloadExtent> TakeExtent(Reader* reader, uint32_t blocks_end) {
  const std::optional<Stretch> stretch = TakeStretch(reader);
  const uint64_t offset = reader->Varint();
  const uint64_t header_bytes = reader->Varint();
  if (!reader->ok() || !stretch.has_value() || header_bytes < kPayloadBlockHeaderBytes ||
      header_bytes > kHeaderBytesMax || offset > blocks_end ||
      header_bytes + stretch->length > blocks_end - offset) {
    return std::nullopt;
  }
  return PayloadExtent{stretch->key, stretch->start, stretch->length, static_cast<uint32_t>(offset),
                       static_cast<uint32_t>(header_bytes)};
}

std::optional<PayloadLoss> TakeLoss(Reader* reader, uint32_t blocks_end) {
  const std::optional<Stretch> stretch = TakeStretch(reader);
  const uint64_t offset = reader->Varint();
  const uint64_t bytes = reader->Varint();
  const uint64_t synced = reader->Varint();
  if (!reader->ok() || !stretch.has_value() || offset > blocks_end || bytes > blocks_end - offset ||
      synced > 1) {
    return std::nullopt;
  }
  return PayloadLoss{static_cast<uint32_t>(offset),
                     static_cast<uint32_t>(bytes),
                     synced == 1,
                     stretch->key,
                     stretch->start,
                     stretch->length};
}

}  // namespace

std::string FormatPayloadFileName(const PayloadFileName& name) {
  char text[48];
  std::snprintf(text, sizeof(text), "%012llx-%04x-%08x.pay",
                static_cast<unsigned long long>(name.generation), name.ordinal, name.number);
  return text;
}

std::optional<PayloadFileName> ParsePayloadFileName(std::string_view name) {
  if (name.size() != 12 + 1 + 4 + 1 + 8 + kSuffix.size()) return std::nullopt;
  uint64_t generation = 0;
  uint64_t ordinal = 0;
  uint64_t number = 0;
  if (!ParseHex(name.substr(0, 12), &generation) || !ParseHex(name.substr(13, 4), &ordinal) ||
      !ParseHex(name.substr(18, 8), &number)) {
    return std::nullopt;
  }
  PayloadFileName parsed{generation, static_cast<uint32_t>(ordinal), static_cast<uint32_t>(number)};
  if (FormatPayloadFileName(parsed) != name) return std::nullopt;
  return parsed;
}

uint32_t PayloadSeed(uint64_t directory_id, const PayloadFileName& file) {
  std::string identity;
  PutFixed<uint64_t>(&identity, directory_id);
  PutFixed<uint64_t>(&identity, file.generation);
  PutFixed<uint32_t>(&identity, file.ordinal);
  PutFixed<uint32_t>(&identity, file.number);
  return Crc32c(0, identity);
}

uint32_t PayloadBlockSeed(uint32_t seed, uint32_t offset) {
  char bytes[4];
  StoreFixed<uint32_t>(bytes, offset);
  return Crc32c(seed, std::string_view(bytes, sizeof(bytes)));
}

uint32_t AppendPayloadHeader(std::string* out, const PayloadBlock& block, uint32_t seed,
                             uint32_t offset) {
  const std::size_t at = out->size();
  PutFixed<uint32_t>(out, kPayloadBlockMagic);
  PutFixed<uint32_t>(out, 0);
  PutFixed<uint32_t>(out, Raw(block.key.group));
  PutFixed<uint32_t>(out, 0);
  PutFixed<uint64_t>(out, block.key.incarnation);
  PutFixed<uint64_t>(out, block.start);
  PutFixed<uint32_t>(out, block.length);
  PutFixed<uint32_t>(out, block.payload_crc);
  PutFixed<uint32_t>(out, block.attested);
  PutFixed<uint32_t>(out, static_cast<uint32_t>(block.message_ends.size()));
  out->append(at + kPayloadBlockHeaderBytes - out->size(), '\0');
  uint32_t previous = 0;
  for (uint32_t end : block.message_ends) {
    URSULA_CHECK(end > previous && end <= block.length);
    PutVarint(out, end - previous);
    previous = end;
  }
  const uint32_t header_bytes = static_cast<uint32_t>(out->size() - at);
  StoreFixed<uint32_t>(out->data() + at + 12, header_bytes);
  StoreFixed<uint32_t>(out->data() + at + 4,
                       HeaderCrc(seed, offset, std::string_view(*out).substr(at)));
  return header_bytes;
}

std::optional<PayloadBlock> ParsePayloadHeader(std::string_view bytes, uint32_t seed,
                                               uint32_t offset) {
  if (bytes.size() < kPayloadBlockHeaderBytes) return std::nullopt;
  Reader reader(bytes);
  if (reader.Fixed<uint32_t>() != kPayloadBlockMagic) return std::nullopt;
  const uint32_t crc = reader.Fixed<uint32_t>();
  PayloadBlock block;
  block.key.group = GroupId{reader.Fixed<uint32_t>()};
  block.header_bytes = reader.Fixed<uint32_t>();
  if (block.header_bytes < kPayloadBlockHeaderBytes || block.header_bytes > bytes.size()) {
    return std::nullopt;
  }
  if (crc != HeaderCrc(seed, offset, bytes.substr(0, block.header_bytes))) return std::nullopt;
  block.key.incarnation = reader.Fixed<uint64_t>();
  block.start = reader.Fixed<uint64_t>();
  block.length = reader.Fixed<uint32_t>();
  block.payload_crc = reader.Fixed<uint32_t>();
  block.attested = reader.Fixed<uint32_t>();
  const uint32_t ends = reader.Fixed<uint32_t>();
  if (!IsStretch(block.start, block.length) || ends > block.length) return std::nullopt;
  Reader lengths(
      bytes.substr(kPayloadBlockHeaderBytes, block.header_bytes - kPayloadBlockHeaderBytes));
  uint64_t end = 0;
  block.message_ends.reserve(ends);
  for (uint32_t i = 0; i < ends; ++i) {
    const uint64_t length = lengths.Varint();
    if (!lengths.ok() || length == 0 || length > block.length - end) return std::nullopt;
    end += length;
    block.message_ends.push_back(static_cast<uint32_t>(end));
  }
  if (!lengths.AtEnd()) return std::nullopt;
  return block;
}

std::string EncodePayloadFooter(const PayloadFooter& footer, uint32_t seed, uint32_t offset) {
  std::string out;
  for (const PayloadExtent& extent : footer.extents) {
    PutStretch(&out, extent.key, extent.start, extent.length);
    PutVarint(&out, extent.offset);
    PutVarint(&out, extent.header_bytes);
  }
  for (const PayloadLoss& loss : footer.losses) {
    PutStretch(&out, loss.key, loss.start, loss.length);
    PutVarint(&out, loss.offset);
    PutVarint(&out, loss.bytes);
    PutVarint(&out, loss.synced ? 1 : 0);
  }
  const uint32_t footer_bytes = static_cast<uint32_t>(out.size());
  const uint32_t footer_crc = Crc32c(seed, out);
  PutFixed<uint32_t>(&out, kPayloadFooterMagic);
  PutFixed<uint32_t>(&out, 0);
  PutFixed<uint32_t>(&out, offset);
  PutFixed<uint32_t>(&out, footer_bytes);
  PutFixed<uint32_t>(&out, footer_crc);
  PutFixed<uint32_t>(&out, static_cast<uint32_t>(footer.extents.size()));
  PutFixed<uint32_t>(&out, static_cast<uint32_t>(footer.losses.size()));
  PutFixed<uint32_t>(&out, 0);
  StoreFixed<uint32_t>(out.data() + footer_bytes + 4,
                       Crc32c(seed, std::string_view(out).substr(footer_bytes + 8)));
  return out;
}

std::optional<PayloadTrailer> ParsePayloadTrailer(std::string_view bytes, uint32_t seed) {
  if (bytes.size() != kPayloadTrailerBytes) return std::nullopt;
  Reader reader(bytes);
  if (reader.Fixed<uint32_t>() != kPayloadFooterMagic) return std::nullopt;
  if (reader.Fixed<uint32_t>() != Crc32c(seed, bytes.substr(8))) return std::nullopt;
  PayloadTrailer trailer;
  trailer.footer_offset = reader.Fixed<uint32_t>();
  trailer.footer_bytes = reader.Fixed<uint32_t>();
  trailer.footer_crc = reader.Fixed<uint32_t>();
  trailer.extent_count = reader.Fixed<uint32_t>();
  trailer.loss_count = reader.Fixed<uint32_t>();
  return trailer;
}

std::optional<PayloadFooter> ParsePayloadFooter(std::string_view bytes,
                                                const PayloadTrailer& trailer, uint32_t seed) {
  if (bytes.size() != trailer.footer_bytes || Crc32c(seed, bytes) != trailer.footer_crc) {
    return std::nullopt;
  }
  Reader reader(bytes);
  PayloadFooter footer;
  for (uint32_t i = 0; i < trailer.extent_count && reader.ok(); ++i) {
    std::optional<PayloadExtent> extent = TakeExtent(&reader, trailer.footer_offset);
    if (!extent.has_value()) return std::nullopt;
    footer.extents.push_back(*extent);
  }
  for (uint32_t i = 0; i < trailer.loss_count && reader.ok(); ++i) {
    std::optional<PayloadLoss> loss = TakeLoss(&reader, trailer.footer_offset);
    if (!loss.has_value()) return std::nullopt;
    footer.losses.push_back(*loss);
  }
  if (!reader.AtEnd()) return std::nullopt;
  return footer;
}

}  // namespace ursula::storage
