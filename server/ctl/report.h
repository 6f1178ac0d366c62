// server/ctl/report.h
//
// What ursulactl prints: tables and sentences for people, one JSON document for programs. The JSON
// is stable: members are only added (docs/operating/ursulactl.md).

#pragma once

#include <string>
#include <vector>

#include "server/config/server_config.h"
#include "server/ctl/node_changes.h"
#include "server/ctl/overview.h"
#include "server/ctl/survey.h"
#include "server/ctl/transfers.h"

namespace ursula::ctl {

std::string StatusText(const Survey& survey, const Overview& overview);
std::string GroupsText(const Overview& overview);
std::string LeadersText(const Overview& overview);
std::string LagText(const Survey& survey, const Overview& overview);
std::string HealthText(const Overview& overview);
std::string TransfersText(const std::vector<Transfer>& transfers);
std::string NodeChangesText(const std::vector<NodeChange>& changes);
std::string ClockText(const server::HostPort& admin, int64_t moved_ms);

std::string StatusJson(const Survey& survey, const Overview& overview);
std::string GroupsJson(const Overview& overview);
std::string LeadersJson(const Overview& overview);
std::string LagJson(const Survey& survey, const Overview& overview);
std::string HealthJson(const Overview& overview);
std::string TransfersJson(const std::vector<Transfer>& transfers);
std::string NodeChangesJson(const std::vector<NodeChange>& changes);
std::string ClockJson(const server::HostPort& admin, int64_t moved_ms);

// {"error":{"code":"…","message":"…"}}
std::string FailureJson(const std::string& code, const std::string& message);

}  // namespace ursula::ctl
