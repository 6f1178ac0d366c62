#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Kind = LookupResult::Kind;

CreateStream WithTtl(std::string_view name, uint64_t seconds) {
  CreateStream create = Creating(name);
  create.lifetime.ttl_seconds = seconds;
  return create;
}

TEST(MachineLifecycleTest, TheSameCreateAgainFindsWhatExists) {
  MachineDriver driver;
  CreateStream create = WithTtl("s", 60);
  create.payload = Bytes::Static("ab");
  Reply made = driver.Do(create);
  EXPECT_EQ(made.outcome, Outcome::kOk);
  EXPECT_EQ(made.info.tail.bytes, 2u);
  create.content_type = "Text/Plain; charset=x";
  ApplyResult again = driver.Apply(create);
  EXPECT_EQ(again.reply.outcome, Outcome::kExisted);
  EXPECT_EQ(again.reply.info.content_type, "text/plain");
  EXPECT_EQ(again.reply.info.incarnation, made.info.incarnation);
  EXPECT_FALSE(again.appended.has_value());
  create.content_type = "text/html";
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kConflict);
  EXPECT_EQ(driver.Do(WithTtl("s", 61)).outcome, Outcome::kConflict);
}

TEST(MachineLifecycleTest, ARefusedCreateTellsOfTheStreamThatHasTheName) {
  MachineDriver driver;
  Reply made = driver.Do(Creating("s", "ab"));
  Reply refused = driver.Do(WithTtl("s", 60));
  EXPECT_EQ(refused.outcome, Outcome::kConflict);
  EXPECT_EQ(refused.info.incarnation, made.info.incarnation);
  EXPECT_EQ(refused.info.tail.bytes, 2u);
  driver.Do(Forking("f", "s"));
  driver.Do(Delete{Id("s")});
  refused = driver.Do(Creating("s"));
  EXPECT_EQ(refused.outcome, Outcome::kSoftDeleted);
  EXPECT_EQ(refused.info.incarnation, made.info.incarnation);
}

TEST(MachineLifecycleTest, TheClosedFlagComparesWithTheStateOfNow) {
  MachineDriver driver;
  driver.Do(Creating("s"));
  CreateStream closed = Creating("s");
  closed.closed = true;
  EXPECT_EQ(driver.Do(closed).outcome, Outcome::kConflict);
  driver.Do(Closing("s"));
  EXPECT_EQ(driver.Do(closed).outcome, Outcome::kExisted);
  EXPECT_EQ(driver.Do(Creating("s")).outcome, Outcome::kConflict);
}

TEST(MachineLifecycleTest, ExpiresAtComparesAsItWasWritten) {
  MachineDriver driver;
  CreateStream create = Creating("s");
  create.lifetime.expires_at_ms = driver.now_ms() + 5000;
  create.lifetime.expires_at_text = "2030-01-01T00:00:00Z";
  driver.Do(create);
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kExisted);
  create.lifetime.expires_at_text = "2030-01-01T00:00:00+00:00";
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kConflict);
}

TEST(MachineLifecycleTest, DeleteFreesAtOnceAndTheNameStartsAnew) {
  MachineDriver driver;
  driver.Do(Creating("s", "old"));
  ApplyResult deleted = driver.Apply(Delete{Id("s")});
  ASSERT_EQ(deleted.freed.size(), 1u);
  EXPECT_EQ(deleted.freed[0], Incarnation{1});
  EXPECT_EQ(driver.Do(Delete{Id("s")}).outcome, Outcome::kNotFound);
  Reply made = driver.Do(Creating("s", "new"));
  EXPECT_EQ(made.incarnation, Incarnation{4});
  EXPECT_EQ(driver.Read("s"), "new");
}

TEST(MachineLifecycleTest, ASlidingTtlIsRenewedByWritesAndTouchesNotByRefusals) {
  MachineDriver driver;
  driver.Do(WithTtl("s", 2));
  auto deadline_in = [&] { return *driver.Find("s").deadline_ms - driver.now_ms(); };
  driver.Advance(1500);
  EXPECT_EQ(deadline_in(), 500);
  driver.Do(Appending("s", "x"));
  EXPECT_EQ(deadline_in(), 2000);
  driver.Advance(1500);
  driver.Do(Producing("s", "x", {"p", 0, 9}));
  EXPECT_EQ(deadline_in(), 500);
  driver.Do(Touch{{Incarnation{1}}});
  EXPECT_EQ(deadline_in(), 2000);
  driver.Advance(1500);
  driver.Do(Closing("s"));
  driver.Advance(1500);
  driver.Do(Closing("s"));
  EXPECT_EQ(deadline_in(), 2000);
}

TEST(MachineLifecycleTest, ADuplicateIsAUseOfTheStream) {
  MachineDriver driver;
  driver.Do(WithTtl("s", 2));
  driver.Do(Producing("s", "x", {"p", 0, 0}));
  driver.Advance(1500);
  EXPECT_EQ(driver.Do(Producing("s", "x", {"p", 0, 0})).outcome, Outcome::kDuplicate);
  EXPECT_EQ(*driver.Find("s").deadline_ms, driver.now_ms() + 2000);
}

TEST(MachineLifecycleTest, ExpiresAtNeverMoves) {
  MachineDriver driver;
  CreateStream create = Creating("s");
  create.lifetime.expires_at_ms = driver.now_ms() + 1000;
  driver.Do(create);
  driver.Advance(500);
  driver.Do(Appending("s", "x"));
  driver.Do(Touch{{Incarnation{1}}});
  EXPECT_EQ(*driver.Find("s").deadline_ms, driver.now_ms() + 500);
}

TEST(MachineLifecycleTest, PastItsDeadlineAStreamIsGoneForTheNextCommand) {
  MachineDriver driver;
  driver.Do(WithTtl("s", 1));
  driver.Advance(999);
  EXPECT_EQ(driver.Find("s").kind, Kind::kFound);
  driver.Advance(1);
  EXPECT_EQ(driver.Find("s").kind, Kind::kExpired);
  ApplyResult append = driver.Apply(Appending("s", "x"));
  EXPECT_EQ(append.reply.outcome, Outcome::kNotFound);
  ASSERT_EQ(append.freed.size(), 1u);
  ASSERT_EQ(append.changed.size(), 1u);
  EXPECT_EQ(driver.Find("s").kind, Kind::kNotFound);
}

TEST(MachineLifecycleTest, AnExpiredNameTakesAnotherConfigAtOnce) {
  MachineDriver driver;
  driver.Do(WithTtl("s", 1));
  driver.Advance(1000);
  CreateStream create = Creating("s");
  create.content_type = "application/json";
  EXPECT_EQ(driver.Do(create).outcome, Outcome::kOk);
}

TEST(MachineLifecycleTest, ATtlOfZeroIsCreatedAndThenGone) {
  MachineDriver driver;
  EXPECT_EQ(driver.Do(WithTtl("s", 0)).outcome, Outcome::kOk);
  EXPECT_EQ(driver.Find("s").kind, Kind::kExpired);
}

TEST(MachineLifecycleTest, ATtlBeyondAllTimeNeverExpires) {
  MachineDriver driver;
  driver.Do(WithTtl("s", ~uint64_t{0}));
  EXPECT_FALSE(driver.machine().NextDeadline().has_value());
}

TEST(MachineLifecycleTest, ExpireTakesOnlyWhatIsDue) {
  MachineDriver driver;
  driver.Do(WithTtl("a", 1));
  driver.Do(WithTtl("b", 2));
  EXPECT_EQ(*driver.machine().NextDeadline(), driver.now_ms() + 1000);
  driver.Advance(1000);
  EXPECT_EQ(driver.machine().CollectExpired(driver.now_ms(), 10),
            std::vector<Incarnation>{Incarnation{1}});
  driver.Do(Expire{{Incarnation{1}, Incarnation{2}, Incarnation{77}}});
  EXPECT_EQ(driver.Find("a").kind, Kind::kNotFound);
  EXPECT_EQ(driver.Find("b").kind, Kind::kFound);
  EXPECT_EQ(driver.machine().stream_count(), 1u);
}

TEST(MachineLifecycleTest, TimeNeverGoesBack) {
  MachineDriver driver;
  driver.Do(WithTtl("s", 10));
  driver.Advance(5000);
  driver.Do(Appending("s", "x"));
  driver.Advance(-4000);  // The next leader's clock is behind.
  driver.Do(Appending("s", "y"));
  EXPECT_EQ(*driver.Find("s").deadline_ms, driver.now_ms() + 14'000);
}

TEST(MachineLifecycleTest, AListingIsOrderedByPathAndGoesOnAfterTheCursor) {
  MachineDriver driver;
  for (const char* name : {"b", "a/c", "a", "ab", "gone"}) driver.Do(Creating(name));
  CreateStream other = Creating("x");
  other.id = {"v1x", "k", "y"};
  driver.Do(other);
  driver.Do(Delete{Id("gone")});
  auto list = [&](std::string prefix, std::string after, uint32_t limit) {
    ListReply reply = driver.machine().List({"v1", prefix, after, limit}, 0);
    std::string paths;
    for (const ListReply::Stream& stream : reply.streams) paths += stream.path + " ";
    return paths + (reply.more ? "..." : "");
  };
  EXPECT_EQ(list("", "", 100), "a a/c ab b ");
  EXPECT_EQ(list("", "", 2), "a a/c ...");
  EXPECT_EQ(list("", "a/c", 2), "ab b ");
  EXPECT_EQ(list("", "a", 1), "a/c ...");
  EXPECT_EQ(list("a", "", 100), "a a/c ab ");
  EXPECT_EQ(list("a/", "a", 100), "a/c ");
  EXPECT_EQ(list("a", "b", 100), "");
  EXPECT_EQ(driver.machine().List({"v1x", "", "", 10}, 0).streams.at(0).path, "k/y");
}

}  // namespace
}  // namespace ursula::stream
