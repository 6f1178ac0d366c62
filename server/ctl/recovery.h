// server/ctl/recovery.h
//
// A cluster that has lost a majority for ever: what the survivors have, and the plan that makes a
// cluster of them (docs/operating/disaster.md). Until every survivor has been asked and none of the
// lost nodes has answered, nothing is changed.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/config/server_config.h"
#include "server/ctl/admin_client.h"
#include "server/ctl/node_view.h"
#include "server/ctl/survey.h"
#include "ursula/function.h"

namespace ursula::ctl {

class Recovery {
 public:
  struct Survivor {
    server::HostPort admin = {};
    RecoveryView view = {};
    bool planned = false;    // It has the plan,
    bool restarted = false;  // and goes by it.
  };

  // `draw`: 16 random hexadecimal digits, which become an id.
  Recovery(AdminClient* client, std::vector<uint64_t> lost, Function<std::string()> draw)
      : client_(*client), lost_(std::move(lost)), draw_(std::move(draw)) {}

  // Asks everybody. False: problem() says why there is no recovery.
  bool Look(const Survey& survey);
  // After Look: gives the plan to those who don't have it. False: to not all of them; the same
  // again goes on from there.
  bool Carry();

  const ErrorSeen& problem() const { return problem_; }
  const std::vector<Survivor>& survivors() const { return survivors_; }  // By node.
  const std::vector<uint64_t>& lost() const { return lost_; }
  const std::string& cluster_before() const { return before_; }
  const std::string& cluster_id() const { return cluster_; }  // From the plan on.
  // The plan is a step alone: who has it leads nothing without nodes that are lost now, and can be
  // recovered again once it goes by it.
  bool again() const { return again_; }

 private:
  bool Refuse(std::string code, std::string message);
  bool AskSurvivors(const Survey& survey);
  bool Covers();
  std::string PlanThere() const;
  bool TakePlan();
  bool IsOfBefore();
  bool MakePlan();
  bool IsNeeded() const;

  AdminClient& client_;
  const std::vector<uint64_t> lost_;  // Ascending.
  Function<std::string()> draw_;
  ErrorSeen problem_;
  std::vector<Survivor> survivors_;
  std::string plan_;  // A query.
  std::string before_;
  std::string cluster_;
  bool again_ = false;
};

// What the survivors have, and what comes next.
std::string RecoveryText(const Recovery& recovery, bool carried);
std::string RecoveryReportJson(const Recovery& recovery, bool carried);

}  // namespace ursula::ctl
