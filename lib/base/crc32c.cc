#include "lib/base/crc32c.h"

#include <isa-l.h>

namespace ursula {

uint32_t Crc32c(uint32_t crc, std::string_view data) {
  // ISA-L takes a non-const pointer that it only reads and an int length; it neither inverts the
  // initial value nor the result.
  constexpr std::size_t kPiece = std::size_t{1} << 30;
  crc = ~crc;
  while (!data.empty()) {
    std::string_view piece = data.substr(0, kPiece);
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data())),
                      static_cast<int>(piece.size()), crc);
    data.remove_prefix(piece.size());
  }
  return ~crc;
}

}  // namespace ursula
