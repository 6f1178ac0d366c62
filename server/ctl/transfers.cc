#include "server/ctl/transfers.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace ursula::ctl {
namespace {

std::string Number(uint64_t number) { return std::to_string(number); }

bool IsForGood(const std::string& code) {
  return code == "NO_VOTER" || code == "NO_SUCH_GROUP" || code == "INVALID_REQUEST" ||
         code == "NOT_FOUND" || code == "METHOD_NOT_ALLOWED" || code == "FORBIDDEN";
}

// Where nobody says who the members are, all of them may.
bool MayLead(const Members& members, uint64_t node) {
  const MemberSeen* const member = members.Find(node);
  if (member == nullptr) return members.all.empty();
  return member->stage == MemberSeen::Stage::kMember && !member->cordoned;
}

}  // namespace

std::vector<Transfer> TransfersFrom(const Overview& overview, const Survey& survey, uint64_t from,
                                    std::string* why) {
  std::map<uint64_t, std::size_t> led;  // By node that groups can go to.
  bool known = false;
  for (const NodeSeen& seen : survey) {
    known = known || seen.node == from;
    if (!seen.view || !seen.view->ready || seen.node == from || seen.node == 0) continue;
    if (!MayLead(overview.members, seen.node)) continue;
    led[seen.node] = overview.nodes.at(seen.node).groups_led;
  }
  if (!known) {
    *why = "there is no node " + Number(from) + ": ursulactl status shows which there are";
    return {};
  }
  if (led.empty()) {
    *why = "no other node is ready to lead: ursulactl health says why";
    return {};
  }
  std::vector<Transfer> transfers;
  for (const GroupRow& row : overview.groups) {
    if (row.leader != from) continue;
    const auto least =
        std::ranges::min_element(led, {}, [](const auto& one) { return one.second; });
    ++least->second;
    Transfer& transfer = transfers.emplace_back();
    transfer.group = row.group;
    transfer.from = from;
    transfer.to = least->first;
  }
  return transfers;
}

bool Transfers::Round(const Deadline* end) {
  if (round_++ > 0) LookAgain(&client_, &survey_, end);
  const Overview overview = Summarize(survey_);
  bool pending = false;
  for (Transfer& transfer : transfers_) {
    if (transfer.state != Transfer::State::kPending) continue;
    const auto row = std::ranges::find(overview.groups, transfer.group, &GroupRow::group);
    Advance(row == overview.groups.end() ? nullptr : &*row, end, &transfer);
    pending = pending || transfer.state == Transfer::State::kPending;
  }
  return pending;
}

void Transfers::Advance(const GroupRow* row, const Deadline* end, Transfer* transfer) {
  if (row == nullptr) {
    transfer->state = Transfer::State::kRefused;
    transfer->code = "NO_SUCH_GROUP";
    transfer->text =
        "there is no group " + Number(transfer->group) + ": ursulactl groups shows which there are";
    return;
  }
  if (round_ == 1) transfer->from = row->leader;
  if (row->leader == transfer->to) {
    transfer->state = round_ == 1 ? Transfer::State::kLeads : Transfer::State::kDone;
    return;
  }
  if (row->leader == 0) {
    transfer->code = "NOT_LEADER";
    transfer->text = "group " + Number(transfer->group) + " has no leader that could hand it over";
    return;
  }
  const auto begun = begun_.find(transfer->group);
  if (begun != begun_.end() && round_ - begun->second < kRoundsPerAsk) return;
  if (asked_any_ && Passed(end)) return;
  Ask(row->leader, transfer);
}

void Transfers::Ask(uint64_t leader, Transfer* transfer) {
  const auto seen = std::ranges::find(survey_, leader, &NodeSeen::node);
  if (seen == survey_.end() || seen->admin.port == 0) {
    transfer->code = "UNREACHABLE";
    transfer->text = "node " + Number(leader) + " leads group " + Number(transfer->group) +
                     ", and its admin listener isn't known: name it with --admin";
    return;
  }
  asked_any_ = true;
  const Result<AdminAnswer> answer = client_.Ask(
      seen->admin, "POST",
      "/cluster/transfer?group=" + Number(transfer->group) + "&to=" + Number(transfer->to));
  if (!answer.ok()) {
    transfer->code = "UNREACHABLE";
    transfer->text = answer.status().message();
    return;
  }
  if (answer->status == 200 && ParseOutcome(answer->body)) {
    begun_[transfer->group] = round_;
    transfer->code.clear();
    transfer->text.clear();
    return;
  }
  const std::optional<ErrorSeen> error = ParseError(answer->body);
  transfer->code = error ? error->code : "ODD_ANSWER";
  transfer->text = error ? error->message
                         : "node " + Number(leader) + " answered " + Number(answer->status) +
                               ": is it of an older release? Update it";
  if (!error || IsForGood(transfer->code)) transfer->state = Transfer::State::kRefused;
}

void Transfers::GiveUp() {
  for (Transfer& transfer : transfers_) {
    if (transfer.state != Transfer::State::kPending) continue;
    transfer.state = Transfer::State::kLate;
    if (!transfer.text.empty()) continue;
    transfer.code = "LATE";
    if (!begun_.contains(transfer.group)) {
      transfer.text = "there was no time to ask for it: give it more with --wait-ms";
      continue;
    }
    transfer.text = "node " + Number(transfer.to) + " was asked to lead group " +
                    Number(transfer.group) +
                    " and doesn't yet: see ursulactl leaders in a moment, or ask again";
  }
}

}  // namespace ursula::ctl
