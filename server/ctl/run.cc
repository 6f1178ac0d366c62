#include "server/ctl/run.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "server/auth/admin_auth.h"
#include "server/ctl/deadline.h"
#include "server/ctl/node_changes.h"
#include "server/ctl/overview.h"
#include "server/ctl/recovery.h"
#include "server/ctl/report.h"
#include "server/ctl/survey.h"
#include "server/ctl/transfers.h"

namespace ursula::ctl {
namespace {

constexpr uint64_t kRoundMs = 100;
constexpr uint64_t kSettleMs = 300;
constexpr int kSettleRounds = 4;

Printed Failure(const Arguments& arguments, int exit_status, const std::string& code,
                const std::string& message) {
  Printed printed;
  printed.exit_status = exit_status;
  if (arguments.json) printed.out = FailureJson(code, message);
  printed.error = "ursulactl: " + message + "\n";
  return printed;
}

Printed StepClock(const Arguments& arguments, AdminClient* client) {
  const server::HostPort& admin = arguments.admin.front();
  const Result<AdminAnswer> answer = client->Ask(admin, "POST", "/clock/step");
  if (!answer.ok()) return Failure(arguments, kExitAway, "UNREACHABLE", answer.status().message());
  const std::optional<int64_t> moved_ms =
      answer->status == 200 ? ParseMoved(answer->body) : std::nullopt;
  if (moved_ms) {
    return {kExitDone, arguments.json ? ClockJson(admin, *moved_ms) : ClockText(admin, *moved_ms),
            ""};
  }
  const std::optional<ErrorSeen> error = ParseError(answer->body);
  if (error) return Failure(arguments, kExitNo, error->code, error->message);
  return Failure(arguments, kExitNo, "ODD_ANSWER",
                 "the node answered " + std::to_string(answer->status) +
                     ": is it of another release? Use its own ursulactl");
}

Printed HandOver(const Arguments& arguments, AdminClient* client, Survey survey,
                 const Overview& overview) {
  std::vector<Transfer> wanted;
  if (survey.size() == 1 && survey.front().node == 0) {
    return Failure(arguments, kExitNo, "ALONE",
                   "this server is alone: there is no other node that could lead");
  }
  if (arguments.all) {
    std::string why;
    wanted = TransfersFrom(overview, survey, arguments.all_from, &why);
    if (!why.empty()) return Failure(arguments, kExitNo, "NO_NODE", why);
  } else {
    Transfer& transfer = wanted.emplace_back();
    transfer.group = arguments.group;
    transfer.to = arguments.to;
  }
  const Deadline end(arguments.wait_ms);
  Transfers transfers(client, std::move(survey), std::move(wanted));
  while (transfers.Round(&end)) {
    if (end.passed()) {
      transfers.GiveUp();
      break;
    }
    Deadline(kRoundMs).Await();
  }
  Printed printed;
  for (const Transfer& transfer : transfers.transfers()) {
    if (transfer.state == Transfer::State::kDone || transfer.state == Transfer::State::kLeads) {
      continue;
    }
    printed.exit_status = kExitNo;
  }
  printed.out =
      arguments.json ? TransfersJson(transfers.transfers()) : TransfersText(transfers.transfers());
  return printed;
}

NodeChange::Kind KindOf(Command command) {
  switch (command) {
    case Command::kNodeRemove:
      return NodeChange::Kind::kRemove;
    case Command::kNodeCordon:
      return NodeChange::Kind::kCordon;
    case Command::kNodeUncordon:
      return NodeChange::Kind::kUncordon;
    case Command::kNodeDrain:
      return NodeChange::Kind::kDrain;
    default:
      return NodeChange::Kind::kAdd;
  }
}

bool IsChange(Command command) {
  return command == Command::kTransfer || command == Command::kReplicas ||
         command == Command::kNodeAdd || command == Command::kNodeReplace ||
         KindOf(command) != NodeChange::Kind::kAdd;
}

// What each of those that are pending waits for, where that isn't as it was told before.
void TellProgress(const std::vector<NodeChange>& changes, std::map<uint64_t, std::string>* told,
                  Progress* progress) {
  if (!*progress) return;
  for (const NodeChange& change : changes) {
    if (change.state != NodeChange::State::kPending || change.text.empty()) continue;
    std::string& before = (*told)[change.node];
    if (change.text == before) continue;
    before = change.text;
    (*progress)(change.text + "\n");
  }
}

// Of `replicas` and `node replace`, which go by who the members are.
std::vector<NodeChange> ChangesOf(const Arguments& arguments, const Survey& survey,
                                  ErrorSeen* why) {
  const Overview overview = Summarize(survey);
  if (arguments.command == Command::kReplicas) {
    return ChangesTo(arguments.replicas, overview, survey, why);
  }
  return ChangesToReplace(arguments.node, arguments.node_new, overview, why);
}

// For as long as group 0 has no leader that answers, nobody knows what the members are.
std::vector<NodeChange> AwaitChanges(const Arguments& arguments, AdminClient* client,
                                     Survey* survey, ErrorSeen* why) {
  std::vector<NodeChange> changes = ChangesOf(arguments, *survey, why);
  const Deadline end(std::max(arguments.wait_ms, kSettleMs * (kSettleRounds + 1)));
  for (int round = 0; round < kSettleRounds && why->code == "NO_LEADER" && !end.passed(); ++round) {
    Deadline(kSettleMs).Await();
    LookAround(client, survey, &end);
    *why = {};
    changes = ChangesOf(arguments, *survey, why);
  }
  return changes;
}

Printed ChangeNodes(const Arguments& arguments, AdminClient* client, Survey survey,
                    Progress progress) {
  if (survey.size() == 1 && survey.front().node == 0) {
    return Failure(arguments, kExitNo, "ALONE",
                   "this server is alone: start it with --node-id and --peers to make it one of "
                   "several");
  }
  std::vector<NodeChange> wanted;
  if (arguments.command == Command::kReplicas || arguments.command == Command::kNodeReplace) {
    ErrorSeen why;
    wanted = AwaitChanges(arguments, client, &survey, &why);
    if (!why.code.empty()) return Failure(arguments, kExitNo, why.code, why.message);
  } else {
    wanted.push_back({.kind = KindOf(arguments.command), .node = arguments.node});
  }
  const Deadline end(arguments.wait_ms);
  std::map<uint64_t, std::string> told;
  NodeChanges changes(client, std::move(survey), std::move(wanted));
  while (changes.Round(&end)) {
    TellProgress(changes.changes(), &told, &progress);
    if (end.passed()) {
      changes.GiveUp();
      break;
    }
    Deadline(kRoundMs).Await();
  }
  Printed printed;
  for (const NodeChange& change : changes.changes()) {
    const bool is_so =
        change.state == NodeChange::State::kDone || change.state == NodeChange::State::kWasSo;
    if (!is_so) printed.exit_status = kExitNo;
  }
  printed.out =
      arguments.json ? NodeChangesJson(changes.changes()) : NodeChangesText(changes.changes());
  return printed;
}

Printed Recover(const Arguments& arguments, AdminClient* client, const Survey& survey) {
  Recovery recovery(client, arguments.lost, [] { return auth::DrawHex(sizeof(uint64_t)); });
  const bool wanted = arguments.data_may_be_lost;
  if (!recovery.Look(survey) || (wanted && !recovery.Carry())) {
    const ErrorSeen& why = recovery.problem();
    return Failure(arguments, kExitNo, why.code, why.message);
  }
  Printed printed;
  printed.exit_status = wanted ? kExitDone : kExitNo;
  printed.out =
      arguments.json ? RecoveryReportJson(recovery, wanted) : RecoveryText(recovery, wanted);
  return printed;
}

// While a group is handed over, or its leader has just ended, it has none for a moment: that is not
// what an operator is to be woken for.
bool MaySettle(const Overview& overview) {
  return overview.answered > 0 && std::ranges::any_of(overview.reasons, [](const Reason& reason) {
           return reason.code == "group_without_leader" || reason.code == "not_ready";
         });
}

Overview Settled(AdminClient* client, Survey* survey) {
  Overview overview = Summarize(*survey);
  for (int round = 0; round < kSettleRounds && MaySettle(overview); ++round) {
    Deadline(kSettleMs).Await();
    LookAgain(client, survey);
    overview = Summarize(*survey);
  }
  return overview;
}

}  // namespace

Printed Run(const Arguments& arguments, AdminClient* client, Progress progress) {
  if (arguments.command == Command::kClockStep) return StepClock(arguments, client);
  Survey survey = LookAtAll(client, arguments.admin);
  const bool judges =
      arguments.command == Command::kStatus || arguments.command == Command::kHealth;
  const Overview overview = judges ? Settled(client, &survey) : Summarize(survey);
  const bool json = arguments.json;
  Printed printed;
  if (overview.answered == 0 && !judges) {
    return Failure(arguments, kExitAway, "UNREACHABLE", survey.front().problem);
  }
  if (overview.answered == 0) printed.exit_status = kExitAway;
  const Reason* const other = OtherCluster(overview);
  if (IsChange(arguments.command) && other != nullptr) {
    return Failure(arguments, kExitNo, "OTHER_CLUSTER", other->text);
  }
  switch (arguments.command) {
    case Command::kStatus:
      printed.out = json ? StatusJson(survey, overview) : StatusText(survey, overview);
      break;
    case Command::kGroups:
      printed.out = json ? GroupsJson(overview) : GroupsText(overview);
      break;
    case Command::kLeaders:
      printed.out = json ? LeadersJson(overview) : LeadersText(overview);
      break;
    case Command::kLag:
      printed.out = json ? LagJson(survey, overview) : LagText(survey, overview);
      break;
    case Command::kHealth:
      if (overview.answered > 0 && !overview.reasons.empty()) printed.exit_status = kExitNo;
      printed.out = json ? HealthJson(overview) : HealthText(overview);
      break;
    case Command::kTransfer:
      return HandOver(arguments, client, std::move(survey), overview);
    case Command::kNodeAdd:
    case Command::kNodeRemove:
    case Command::kNodeCordon:
    case Command::kNodeUncordon:
    case Command::kNodeDrain:
    case Command::kNodeReplace:
    case Command::kReplicas:
      return ChangeNodes(arguments, client, std::move(survey), std::move(progress));
    case Command::kRecover:
      return Recover(arguments, client, survey);
    case Command::kClockStep:
    case Command::kHelp:
    case Command::kVersion:
      break;
  }
  return printed;
}

}  // namespace ursula::ctl
