#include "lib/peers/frame_format.h"

#include <utility>

#include "lib/base/coding.h"
#include "lib/base/crc32c.h"
#include "lib/base/ids.h"

namespace ursula::peers {

void PutLetter(GroupId group, ByteParts&& letter, ByteParts* letters) {
  letters->PutVarint(Raw(group));
  letters->PutVarint(letter.size());
  letters->Put(std::move(letter));
}

std::vector<Bytes> FinishFrame(ByteParts&& letters, uint64_t cluster_id) {
  std::vector<Bytes> parts = letters.Take();
  std::string cluster;
  PutFixed<uint64_t>(&cluster, cluster_id);
  uint32_t crc = Crc32c(0, cluster);
  for (const Bytes& part : parts) crc = Crc32c(crc, part.view());
  std::string head;
  PutFixed<uint8_t>(&head, kFrameVersion);
  PutFixed<uint32_t>(&head, crc);
  parts.insert(parts.begin(), Bytes::Take(head + cluster));
  return parts;
}

std::optional<std::vector<Letter>> ParseFrame(const Bytes& frame, uint64_t cluster_id) {
  Reader reader(frame.view());
  const uint8_t version = reader.Fixed<uint8_t>();
  const uint32_t crc = reader.Fixed<uint32_t>();
  if (!reader.ok() || version != kFrameVersion || Crc32c(0, reader.rest()) != crc) {
    return std::nullopt;
  }
  if (reader.Fixed<uint64_t>() != cluster_id) return std::nullopt;
  std::vector<Letter> letters;
  while (reader.ok() && !reader.AtEnd()) {
    const uint64_t group = reader.Varint();
    const std::string_view body = reader.String();
    if (!reader.ok() || group > UINT32_MAX) return std::nullopt;
    const std::size_t at = static_cast<std::size_t>(body.data() - frame.data());
    letters.push_back({GroupId{static_cast<uint32_t>(group)}, frame.Slice(at, body.size())});
  }
  if (!reader.ok()) return std::nullopt;
  return letters;
}

}  // namespace ursula::peers
