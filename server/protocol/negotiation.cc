#include "server/protocol/negotiation.h"

#include <cstddef>
#include <optional>

#include "server/protocol/text.h"

namespace ursula::protocol {
namespace {

// One member of a list header, with its weight in thousandths.
struct Weighted {
  std::string name = {};  // Lower case, without parameters.
  int weight = 1000;
};

// "0.5" → 500. Anything that is not a weight counts as 0: when in doubt, not accepted.
int ParseWeight(std::string_view text) {
  if (text.empty() || (text.front() != '0' && text.front() != '1')) return 0;
  int weight = text.front() == '1' ? 1000 : 0;
  text.remove_prefix(1);
  if (text.empty()) return weight;
  if (text.front() != '.' || text.size() > 4) return 0;
  int place = 100;
  for (char c : text.substr(1)) {
    if (c < '0' || c > '9') return 0;
    weight += (c - '0') * place;
    place /= 10;
  }
  return weight <= 1000 ? weight : 0;
}

Weighted ParseMember(std::string_view member) {
  Weighted result;
  std::size_t semicolon = member.find(';');
  result.name = AsciiLower(TrimSpace(member.substr(0, semicolon)));
  while (semicolon != std::string_view::npos) {
    member.remove_prefix(semicolon + 1);
    semicolon = member.find(';');
    std::string_view parameter = TrimSpace(member.substr(0, semicolon));
    if (parameter.starts_with("q=") || parameter.starts_with("Q=")) {
      result.weight = ParseWeight(TrimSpace(parameter.substr(2)));
    }
  }
  return result;
}

// Calls `visit` for each member of the list.
template <class Visit>
void ForEachMember(std::string_view list, Visit visit) {
  while (!list.empty()) {
    std::size_t comma = list.find(',');
    Weighted member = ParseMember(list.substr(0, comma));
    if (!member.name.empty()) visit(member);
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

}  // namespace

std::string_view ContentCodingName(ContentCoding coding) {
  switch (coding) {
    case ContentCoding::kIdentity:
      return "";
    case ContentCoding::kGzip:
      return "gzip";
    case ContentCoding::kZstd:
      return "zstd";
  }
  return "";
}

ContentCoding ChooseCoding(std::string_view accept_encoding) {
  std::optional<int> gzip, zstd, identity, any;
  ForEachMember(accept_encoding, [&](const Weighted& member) {
    if (member.name == "gzip" || member.name == "x-gzip") gzip = member.weight;
    if (member.name == "zstd") zstd = member.weight;
    if (member.name == "identity") identity = member.weight;
    if (member.name == "*") any = member.weight;
  });
  // "*" speaks for gzip, which every client that says so can read; not for zstd.
  int gzip_weight = gzip.value_or(any.value_or(0));
  int zstd_weight = zstd.value_or(0);
  int identity_weight = identity.value_or(0);  // Unnamed: acceptable, but liked least.
  if (zstd_weight > 0 && zstd_weight >= gzip_weight && zstd_weight >= identity_weight) {
    return ContentCoding::kZstd;
  }
  if (gzip_weight > 0 && gzip_weight >= identity_weight) return ContentCoding::kGzip;
  return ContentCoding::kIdentity;
}

bool WantsNdjson(std::string_view accept) {
  int ndjson = 0;
  int json = 0;
  ForEachMember(accept, [&](const Weighted& member) {
    if (member.name == "application/x-ndjson") ndjson = member.weight;
    if (member.name == "application/json") json = member.weight;
  });
  return ndjson > 0 && ndjson >= json;
}

std::string MediaType(std::string_view content_type) {
  return AsciiLower(TrimSpace(content_type.substr(0, content_type.find(';'))));
}

bool IsJson(std::string_view content_type) { return MediaType(content_type) == "application/json"; }

bool IsText(std::string_view content_type) { return MediaType(content_type).starts_with("text/"); }

}  // namespace ursula::protocol
