#include "lib/base/sometimes.h"

#include <string_view>

#include "gtest/gtest.h"

namespace ursula {
namespace {

void Take(bool rare) {
  URSULA_SOMETIMES("test: take was called");
  if (rare) URSULA_SOMETIMES("test: the rare path");
}

bool Reached(std::string_view name) {
  for (const SometimesMark& mark : SometimesMarks()) {
    if (mark.name == name) return mark.reached;
  }
  ADD_FAILURE() << "no such mark: " << name;
  return false;
}

TEST(SometimesTest, AMarkIsFoundBeforeItIsReachedAndRemembersThatItWas) {
  EXPECT_EQ(SometimesMarks().size(), 2u);
  EXPECT_FALSE(Reached("test: take was called"));
  Take(false);
  EXPECT_TRUE(Reached("test: take was called"));
  EXPECT_FALSE(Reached("test: the rare path"));
  Take(true);
  EXPECT_TRUE(Reached("test: the rare path"));
}

}  // namespace
}  // namespace ursula
