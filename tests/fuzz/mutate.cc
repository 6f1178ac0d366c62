#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>

namespace ursula::fuzz {
namespace {

constexpr std::size_t kInputBytesMax = 1 << 16;

std::size_t Position(const std::string& input, Random* random) {
  return static_cast<std::size_t>(random->Below(input.size() + 1));
}

std::string Piece(const std::string& from, Random* random) {
  const std::size_t start = Position(from, random);
  return from.substr(start, static_cast<std::size_t>(random->Below(33)));
}

char EdgeByte(Random* random) {
  constexpr std::array<unsigned char, 8> kEdges = {0, 1, 0x7f, 0x80, 0xff, '\n', '"', ' '};
  return random->OneIn(2) ? static_cast<char>(kEdges[random->Below(kEdges.size())])
                          : static_cast<char>(random->Next());
}

void ChangeOnce(std::string* input, const std::string& other, Random* random) {
  const std::size_t at = Position(*input, random);
  const std::size_t some = std::min<std::size_t>(random->Below(16) + 1, input->size() - at);
  switch (random->Below(7)) {
    case 0:
      if (at < input->size())
        (*input)[at] = static_cast<char>((*input)[at] ^ 1 << random->Below(8));
      break;
    case 1:
      if (at < input->size()) (*input)[at] = EdgeByte(random);
      break;
    case 2:
      input->insert(at, 1, EdgeByte(random));
      break;
    case 3:
      input->erase(at, some);
      break;
    case 4:
      input->insert(at, Piece(*input, random));
      break;
    case 5:
      input->insert(at, Piece(other, random));
      break;
    default:
      if (random->OneIn(4)) {
        input->resize(at);
      } else {
        std::fill_n(input->begin() + static_cast<std::ptrdiff_t>(at), some, EdgeByte(random));
      }
      break;
  }
}

}  // namespace

std::string Mutate(std::string input, const std::string& other, Random* random) {
  const uint64_t changes = random->Below(4) + 1;
  for (uint64_t i = 0; i < changes; ++i) ChangeOnce(&input, other, random);
  if (input.size() > kInputBytesMax) input.resize(kInputBytesMax);
  return input;
}

}  // namespace ursula::fuzz
