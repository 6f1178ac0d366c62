#include <optional>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "tests/unit/stream/machine_driver.h"

namespace ursula::stream {
namespace {

using Kind = LookupResult::Kind;

// Two groups with one clock: the fork's name belongs to home, its source to target.
class MachinePlacementTest : public testing::Test {
 protected:
  MachinePlacementTest() { target_.Do(Creating("s", "ab")); }

  Reserve Reserving() {
    Reserve reserve;
    reserve.stream.id = Id("f");
    reserve.point.source = Id("s");
    reserve.target = GroupId{2};
    reserve.hold_ms = 5000;
    return reserve;
  }

  CreateFork ForkUnder(const Placement& placement) {
    CreateFork fork = Forking("f", "s");
    fork.reservation = placement.reservation;
    return fork;
  }

  void Advance(int64_t ms) {
    home_.Advance(ms);
    target_.Advance(ms);
  }

  MachineDriver home_;
  MachineDriver target_;
};

TEST_F(MachinePlacementTest, ReserveCreateConfirmMakesANameThatLeadsElsewhere) {
  Placement placement = *home_.Do(Reserving()).placement;
  EXPECT_EQ(placement.reservation.until_ms, home_.now_ms() + 5000);
  EXPECT_EQ(home_.machine().PendingReservations(10).size(), 1u);
  Reply forked = target_.Do(ForkUnder(placement));
  EXPECT_EQ(forked.outcome, Outcome::kOk);
  Reply confirmed = home_.Do(Confirm{Id("f"), placement.reservation.id, forked.incarnation});
  EXPECT_EQ(confirmed.outcome, Outcome::kOk);
  EXPECT_TRUE(home_.machine().PendingReservations(10).empty());
  LookupResult found = home_.Find("f");
  EXPECT_EQ(found.kind, Kind::kElsewhere);
  EXPECT_TRUE(found.placement->confirmed);
  EXPECT_EQ(found.placement->incarnation, forked.incarnation);
  EXPECT_EQ(target_.Read("f"), "ab");
}

TEST_F(MachinePlacementTest, TheNameIsTakenForEveryCommandAtHome) {
  Placement placement = *home_.Do(Reserving()).placement;
  for (const Command::Body& body : std::vector<Command::Body>{
           Creating("f"), Delete{Id("f")}, Appending("f", "x"), Reserving(), Forking("f", "s")}) {
    Reply reply = home_.Do(body);
    EXPECT_EQ(reply.outcome, Outcome::kConflict) << body.index();
    EXPECT_EQ(reply.placement, placement) << body.index();
  }
}

TEST_F(MachinePlacementTest, AStreamAtHomeIsComparedWithTheReserve) {
  home_.Do(Creating("f"));
  EXPECT_EQ(home_.Do(Reserving()).outcome, Outcome::kConflict);
  EXPECT_FALSE(home_.Do(Reserving()).placement.has_value());
}

TEST_F(MachinePlacementTest, ResolvingWaitsUntilTheReservationHasRunOut) {
  Placement placement = *home_.Do(Reserving()).placement;
  ResolveFork resolve{Id("f"), placement.reservation};
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kPending);
  Advance(5001);
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kNever);
  // From that answer on the fork can't come any more, even if its command was under way.
  Reply late = target_.Do(ForkUnder(placement));
  EXPECT_EQ(late.outcome, Outcome::kConflict);
  EXPECT_TRUE(late.reservation_lapsed);
  EXPECT_EQ(home_.Do(Unreserve{Id("f"), placement.reservation.id}).outcome, Outcome::kOk);
  EXPECT_EQ(home_.Find("f").kind, Kind::kNotFound);
}

TEST_F(MachinePlacementTest, NeverHoldsAlsoUnderALeaderWhoseClockIsBehind) {
  Placement placement = *home_.Do(Reserving()).placement;
  Advance(5001);
  EXPECT_EQ(target_.Do(ResolveFork{Id("f"), placement.reservation}).resolution,
            ForkResolution::kNever);
  target_.Advance(-3000);
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);
}

TEST_F(MachinePlacementTest, ResolvingFindsAForkThatWasMade) {
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation made = target_.Do(ForkUnder(placement)).incarnation;
  Advance(60'000);
  Reply reply = target_.Do(ResolveFork{Id("f"), placement.reservation});
  EXPECT_EQ(reply.resolution, ForkResolution::kExists);
  EXPECT_EQ(reply.incarnation, made);
}

TEST_F(MachinePlacementTest, AFreedNameIsReleasedThroughTheOutbox) {
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation made = target_.Do(ForkUnder(placement)).incarnation;
  target_.Do(Delete{Id("f")});
  std::vector<Release> outbox = target_.machine().Outbox(10);
  ASSERT_EQ(outbox.size(), 1u);
  EXPECT_EQ(outbox[0].fork, made);
  EXPECT_EQ(outbox[0].id, Id("f"));
  EXPECT_EQ(home_.Do(Unreserve{outbox[0].id, outbox[0].reservation.id}).outcome, Outcome::kOk);
  EXPECT_EQ(home_.Do(Unreserve{outbox[0].id, outbox[0].reservation.id}).outcome,
            Outcome::kNotFound);
  target_.Do(DropReleases{{made}});
  EXPECT_TRUE(target_.machine().Outbox(10).empty());
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);  // A copy that comes late.
}

TEST_F(MachinePlacementTest, AnAppliedReleaseIsForgottenOnceItsReservationHasRunOut) {
  auto releases = [&] {
    int count = 0;
    target_.machine().CollectChanges(true,
                                     [&](std::string_view key, std::optional<std::string_view>) {
                                       count += key.front() == kReleaseRecord ? 1 : 0;
                                     });
    return count;
  };
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation made = target_.Do(ForkUnder(placement)).incarnation;
  target_.Do(Delete{Id("f")});
  target_.Do(DropReleases{{made}});
  EXPECT_EQ(releases(), 1);
  Advance(5001);
  target_.Do(Forking("g", "s"));
  EXPECT_EQ(releases(), 0);
}

TEST_F(MachinePlacementTest, AnExpiredForkIsReleasedThoughOthersReadFromIt) {
  Placement placement = *home_.Do(Reserving()).placement;
  CreateFork fork = ForkUnder(placement);
  fork.stream.lifetime.ttl_seconds = 1;
  Incarnation made = target_.Do(fork).incarnation;
  CreateFork reader = Forking("g", "f");
  reader.stream.lifetime.ttl_seconds = 60;
  target_.Do(reader);
  Advance(1000);
  target_.Do(Expire{{made}});
  EXPECT_EQ(target_.machine().Outbox(10).size(), 1u);
  EXPECT_EQ(target_.Read("g"), "ab");
}

TEST_F(MachinePlacementTest, ASoftDeletedForkKeepsItsPlacement) {
  Placement placement = *home_.Do(Reserving()).placement;
  target_.Do(ForkUnder(placement));
  target_.Do(Forking("g", "f"));
  target_.Do(Delete{Id("f")});
  EXPECT_TRUE(target_.machine().Outbox(10).empty());
  target_.Do(Delete{Id("g")});
  EXPECT_EQ(target_.machine().Outbox(10).size(), 1u);
}

TEST_F(MachinePlacementTest, AnotherReservationsCommandsDoNothing) {
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation other{Raw(placement.reservation.id) + 1};
  EXPECT_EQ(home_.Do(Confirm{Id("f"), other, Incarnation{9}}).outcome, Outcome::kNotFound);
  EXPECT_EQ(home_.Do(Unreserve{Id("f"), other}).outcome, Outcome::kNotFound);
  EXPECT_EQ(*home_.Find("f").placement, placement);
}

}  // namespace
}  // namespace ursula::stream
