// server/ctl/transfers.h
//
// Hand-overs that are asked for until they have happened, can't, or it is too late. A node that is
// busy with another one, or lacks a little, is asked again.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "server/ctl/admin_client.h"
#include "server/ctl/deadline.h"
#include "server/ctl/overview.h"
#include "server/ctl/survey.h"
#include "ursula/function.h"

namespace ursula::ctl {

struct Transfer {
  enum class State : uint8_t {
    kPending,
    kDone,     // It leads.
    kLeads,    // It did already.
    kRefused,  // For good.
    kLate,
  };
  uint32_t group = 0;
  uint64_t from = 0;  // Who led it at the start; 0: nobody.
  uint64_t to = 0;
  State state = State::kPending;
  std::string code = {};  // Of the last refusal; empty: there was none.
  std::string text = {};
};

// All that `from` leads, to the other nodes that answer and are ready: to whom leads least, first.
// Empty, with *why, if it can't be said to whom.
std::vector<Transfer> TransfersFrom(const Overview& overview, const Survey& survey, uint64_t from,
                                    std::string* why);

class Transfers {
 public:
  Transfers(AdminClient* client, Survey survey, std::vector<Transfer> wanted)
      : client_(*client), survey_(std::move(survey)), transfers_(std::move(wanted)) {}

  // One round: looks, and asks for what is pending. False: nothing is pending any more. After `end`
  // (null: none) no question begins, but for one if there was none at all.
  bool Round(const Deadline* end = nullptr);
  void GiveUp();  // What is pending is late.

  const std::vector<Transfer>& transfers() const { return transfers_; }

 private:
  static constexpr uint64_t kRoundsPerAsk = 10;  // It has this long to come about.

  void Advance(const GroupRow* row, const Deadline* end, Transfer* transfer);
  void Ask(uint64_t leader, Transfer* transfer);

  AdminClient& client_;
  Survey survey_;
  std::vector<Transfer> transfers_;
  uint64_t round_ = 0;
  bool asked_any_ = false;
  std::map<uint32_t, uint64_t> begun_;  // In which round, by group.
};

}  // namespace ursula::ctl
