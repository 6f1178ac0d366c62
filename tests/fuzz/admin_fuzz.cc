// What stands between ursulactl and an admin listener, from either side: a response's bytes, in two
// pieces, and what a node says in it; the two headers of a proof. What is made of them is bounded,
// plain text and JSON; headers that are read are written again as they were.

#include <simdjson.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lib/base/check.h"
#include "server/auth/admin_auth.h"
#include "server/ctl/node_changes.h"
#include "server/ctl/node_view.h"
#include "server/ctl/overview.h"
#include "server/ctl/report.h"
#include "server/ctl/response_parser.h"
#include "server/ctl/survey.h"

namespace ursula::ctl {
namespace {

using State = ResponseParser::State;

void CheckHeaders(std::string_view input) {
  if (const auto challenge = auth::ParseChallenge(input)) {
    URSULA_CHECK(challenge->nonce.size() <= auth::kNonceCharactersMax);
    const auto again = auth::ParseChallenge(auth::FormatChallenge(*challenge));
    URSULA_CHECK(again && again->node == challenge->node && again->nonce == challenge->nonce);
  }
  if (const auto credentials = auth::ParseCredentials(input)) {
    URSULA_CHECK(auth::FormatCredentials(*credentials) == input);
  }
}

// How it was cut into pieces makes no difference.
std::optional<HttpResponse> ReadCut(std::string_view bytes, std::size_t cut) {
  ResponseParser parser;
  State state = parser.Feed(bytes.substr(0, cut));
  if (state == State::kNeedMore) state = parser.Feed(bytes.substr(std::min(cut, bytes.size())));
  if (state == State::kNeedMore) state = parser.End();
  URSULA_CHECK(state == State::kComplete || !parser.reason().empty());
  if (state != State::kComplete) return std::nullopt;
  URSULA_CHECK(parser.response().status >= 200 && parser.response().status <= 599);
  URSULA_CHECK(parser.response().headers.size() <= ResponseParser::kHeadersMax);
  return std::move(parser.response());
}

void CheckPlain(std::string_view text) {
  URSULA_CHECK(
      std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
}

void CheckJson(const std::string& text) {
  simdjson::dom::parser parser;
  URSULA_CHECK(parser.parse(text).error() == simdjson::SUCCESS);
}

void CheckBody(std::string_view body) {
  ParseError(body);
  ParseOutcome(body);
  ParseMoved(body);
  NodeSeen seen;
  seen.admin = {"10.0.0.1", 4438};
  seen.view = ParseNodeView(body);
  if (!seen.view) return;
  seen.node = seen.view->node;
  URSULA_CHECK(seen.view->groups.size() <= kGroupsMax && seen.view->peers.size() <= kPeersMax);
  URSULA_CHECK(seen.view->members.size() <= kMembersMax);
  CheckPlain(seen.view->members_wait_for);
  for (const PeerSeen& peer : seen.view->peers) {
    GuessAdmin(seen.admin, seen.view->peer_address, peer.address);
  }
  NodeSeen other = seen;
  other.view.reset();
  other.node = seen.node + 1;
  other.problem = "gone";
  const Survey survey = {seen, other};
  const Overview overview = Summarize(survey);
  ErrorSeen why;
  const std::vector<NodeChange> changes = ChangesTo(5, overview, survey, &why);
  URSULA_CHECK(changes.size() <= kMembersMax + 5);
  CheckPlain(why.message);
  for (const std::string& text :
       {NodeChangesText(changes), StatusText(survey, overview), GroupsText(overview),
        LeadersText(overview), LagText(survey, overview), HealthText(overview)}) {
    CheckPlain(text);
  }
  for (const std::string& json :
       {NodeChangesJson(changes), StatusJson(survey, overview), GroupsJson(overview),
        LeadersJson(overview), LagJson(survey, overview), HealthJson(overview)}) {
    CheckJson(json);
  }
}

void Run(std::string_view input) {
  CheckHeaders(input);
  CheckBody(input);
  if (input.empty()) return;
  const std::size_t cut = static_cast<uint8_t>(input.front());
  input.remove_prefix(1);
  const std::optional<HttpResponse> whole = ReadCut(input, input.size());
  const std::optional<HttpResponse> in_two = ReadCut(input, cut);
  URSULA_CHECK(whole.has_value() == in_two.has_value());
  if (!whole) return;
  URSULA_CHECK(whole->status == in_two->status && whole->body == in_two->body);
  URSULA_CHECK(whole->headers.text() == in_two->headers.text());
  CheckBody(whole->body);
}

}  // namespace
}  // namespace ursula::ctl

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  ursula::ctl::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
