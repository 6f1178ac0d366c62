#include "server/ctl/run.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "server/ctl/deadline.h"
#include "server/ctl/overview.h"
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

Printed HandOver(const Arguments& arguments, AdminClient* client, Survey survey) {
  std::vector<Transfer> wanted;
  if (survey.size() == 1 && survey.front().node == 0) {
    return Failure(arguments, kExitNo, "ALONE",
                   "this server is alone: there is no other node that could lead");
  }
  if (arguments.all) {
    std::string why;
    wanted = TransfersFrom(Summarize(survey), survey, arguments.all_from, &why);
    if (!why.empty()) return Failure(arguments, kExitNo, "NO_NODE", why);
  } else {
    Transfer& transfer = wanted.emplace_back();
    transfer.group = arguments.group;
    transfer.to = arguments.to;
  }
  const Deadline end(arguments.wait_ms);
  Transfers transfers(client, std::move(survey), std::move(wanted));
  while (transfers.Round()) {
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

Printed Run(const Arguments& arguments, AdminClient* client) {
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
      return HandOver(arguments, client, std::move(survey));
    case Command::kClockStep:
    case Command::kHelp:
    case Command::kVersion:
      break;
  }
  return printed;
}

}  // namespace ursula::ctl
