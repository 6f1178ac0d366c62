#include <optional>
#include <string>
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
  MachinePlacementTest() : target_({}, GroupId{2}) { target_.Do(Creating("s", "ab")); }

  Reserve Reserving() {
    Reserve reserve;
    reserve.stream.id = Id("f");
    reserve.point.source = Id("s");
    reserve.target = GroupId{2};
    return reserve;
  }

  CreateFork ForkUnder(const Placement& placement) {
    CreateFork fork = Forking("f", "s");
    fork.reservation = placement.reservation;
    return fork;
  }

  int Records(char kind) {
    int count = 0;
    target_.machine().CollectChanges(true,
                                     [&](std::string_view key, std::optional<std::string_view>) {
                                       count += key.front() == kind ? 1 : 0;
                                     });
    return count;
  }

  static constexpr int64_t kHoldMs = 5000;

  void Advance(int64_t ms) {
    home_.Advance(ms);
    target_.Advance(ms);
  }

  MachineDriver home_;
  MachineDriver target_;
};

TEST_F(MachinePlacementTest, ReserveCreateConfirmMakesANameThatLeadsElsewhere) {
  Placement placement = *home_.Do(Reserving()).placement;
  EXPECT_EQ(placement.made_ms, home_.now_ms());
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

TEST_F(MachinePlacementTest, TheHoldBeginsWithTheFirstQuestionInTheTargetsTime) {
  Placement placement = *home_.Do(Reserving()).placement;
  home_.Advance(1'000'000'000);  // Whatever the home group's clock says.
  ResolveFork resolve{Id("f"), placement.reservation, kHoldMs, {}};
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kPending);
  target_.Advance(kHoldMs - 1);
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kPending);
  target_.Advance(1);
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kNever);
  // From that answer on the fork can't come any more, even if its command was under way.
  Reply late = target_.Do(ForkUnder(placement));
  EXPECT_EQ(late.outcome, Outcome::kConflict);
  EXPECT_TRUE(late.reservation_lapsed);
  EXPECT_EQ(home_.Do(Unreserve{Id("f"), placement.reservation.id}).outcome, Outcome::kOk);
  EXPECT_EQ(home_.Find("f").kind, Kind::kNotFound);
}

TEST_F(MachinePlacementTest, WithoutAHoldAForkThatIsNotThereIsRuledOutAtOnce) {
  Placement placement = *home_.Do(Reserving()).placement;
  EXPECT_EQ(target_.Do(ResolveFork{Id("f"), placement.reservation, 0, {}}).resolution,
            ForkResolution::kNever);
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);
}

TEST_F(MachinePlacementTest, AForkMayComeHoweverLateUntilItIsRuledOut) {
  Placement placement = *home_.Do(Reserving()).placement;
  target_.Advance(int64_t{365} * 24 * 3600 * 1000);
  EXPECT_EQ(target_.Do(ForkUnder(placement)).outcome, Outcome::kOk);
}

TEST_F(MachinePlacementTest, NeverHoldsAlsoUnderALeaderWhoseClockIsBehind) {
  Placement placement = *home_.Do(Reserving()).placement;
  ResolveFork resolve{Id("f"), placement.reservation, kHoldMs, {}};
  target_.Do(resolve);
  Advance(kHoldMs);
  EXPECT_EQ(target_.Do(resolve).resolution, ForkResolution::kNever);
  target_.Advance(-3000);
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);
  target_.Do(StepClock{-1'000'000});
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);
}

// What was asked of single reservations is forgotten once all of their age have ended; they stay
// over.
TEST_F(MachinePlacementTest, SettledReservationsAreOverAndCostNothing) {
  std::vector<Placement> placements;
  for (int i = 0; i < 20; ++i) {
    Reserve reserve = Reserving();
    reserve.stream.id = Id("f" + std::to_string(i));
    placements.push_back(*home_.Do(reserve).placement);
    target_.Do(ResolveFork{reserve.stream.id, placements.back().reservation, 0, {}});
    home_.Do(Unreserve{reserve.stream.id, placements.back().reservation.id});
  }
  EXPECT_EQ(Records(kSightingRecord), 20);
  Incarnation settled = home_.machine().SettledBelow(Index{home_.index()});
  target_.Do(DropReleases{GroupId{1}, settled, {}});
  EXPECT_EQ(Records(kSightingRecord), 0);
  CreateFork late = Forking("f3", "s");
  late.reservation = placements[3].reservation;
  EXPECT_TRUE(target_.Do(late).reservation_lapsed);
}

TEST_F(MachinePlacementTest, OnlyWhatIsPendingKeepsReservationsFromSettling) {
  EXPECT_EQ(home_.machine().SettledBelow(Index{7}), Incarnation{8});
  Placement first = *home_.Do(Reserving()).placement;
  Reserve other = Reserving();
  other.stream.id = Id("g");
  Placement second = *home_.Do(other).placement;
  EXPECT_EQ(home_.machine().SettledBelow(Index{home_.index()}), first.reservation.id);
  home_.Do(Confirm{Id("f"), first.reservation.id, Incarnation{5}});
  EXPECT_EQ(home_.machine().SettledBelow(Index{home_.index()}), second.reservation.id);
  home_.Do(Unreserve{Id("g"), second.reservation.id});
  EXPECT_EQ(home_.machine().SettledBelow(Index{home_.index()}), Incarnation{home_.index() + 1});
}

TEST_F(MachinePlacementTest, ResolvingFindsAForkThatWasMade) {
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation made = target_.Do(ForkUnder(placement)).incarnation;
  Advance(60'000);
  Reply reply = target_.Do(ResolveFork{Id("f"), placement.reservation, kHoldMs, {}});
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
  target_.Do(DropReleases{GroupId{1}, {}, {made}});
  ASSERT_EQ(target_.machine().Outbox(10).size(), 1u);
  EXPECT_TRUE(target_.machine().Outbox(10)[0].applied);
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);  // A copy that comes late.
}

TEST_F(MachinePlacementTest, ReleasesToHandOnAreNotBehindThoseThatAreApplied) {
  std::vector<Incarnation> forks;
  for (int i = 0; i < 10; ++i) {
    Reserve reserve = Reserving();
    reserve.stream.id = Id("f" + std::to_string(i));
    CreateFork fork = Forking("f" + std::to_string(i), "s");
    fork.reservation = home_.Do(reserve).placement->reservation;
    forks.push_back(target_.Do(fork).incarnation);
    target_.Do(Delete{reserve.stream.id});
  }
  auto expect_first = [&](const Machine& machine, Incarnation fork, bool applied) {
    ASSERT_EQ(machine.Outbox(1).size(), 1u);
    EXPECT_EQ(machine.Outbox(1)[0].fork, fork);
    EXPECT_EQ(machine.Outbox(1)[0].applied, applied);
    EXPECT_EQ(machine.Outbox(100).size(), forks.size());
  };
  target_.Do(DropReleases{GroupId{1}, {}, {forks.begin(), forks.begin() + 8}});
  expect_first(target_.machine(), forks[8], false);
  Machine restored(GroupId{2});
  target_.machine().CollectChanges(
      true, [&](std::string_view key, std::optional<std::string_view> value) {
        EXPECT_TRUE(restored.LoadRecord(key, value).ok());
      });
  ASSERT_TRUE(restored.FinishLoad().ok());
  expect_first(restored, forks[8], false);
  target_.Do(DropReleases{GroupId{1}, {}, {forks[8], forks[9]}});
  expect_first(target_.machine(), forks[0], true);
}

TEST_F(MachinePlacementTest, AnAppliedReleaseIsForgottenOnceItsReservationHasSettled) {
  Placement placement = *home_.Do(Reserving()).placement;
  Incarnation made = target_.Do(ForkUnder(placement)).incarnation;
  target_.Do(Delete{Id("f")});
  const Incarnation after{Raw(placement.reservation.id) + 1};
  target_.Do(DropReleases{GroupId{1}, after, {}});
  EXPECT_EQ(Records(kReleaseRecord), 1) << "before the home group has freed the name";
  target_.Do(DropReleases{GroupId{1}, placement.reservation.id, {made}});
  EXPECT_EQ(Records(kReleaseRecord), 0);
  EXPECT_TRUE(target_.Do(ForkUnder(placement)).reservation_lapsed);
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
