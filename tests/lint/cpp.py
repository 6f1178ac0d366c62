"""Just enough C++ reading for lint: code without comments and strings, and where functions are."""
import re

_TOKEN = re.compile(
    r"""
    (?P<comment>//[^\n]*|/\*.*?\*/)
  | (?P<raw>R"(?P<tag>[^()\\\s]{0,16})\(.*?\)(?P=tag)")
  | (?P<string>"(?:\\.|[^"\\\n])*")
  | (?P<number>\b\d[\w.']*)
  | (?P<char>'(?:\\.|[^'\\\n])+')
    """,
    re.VERBOSE | re.DOTALL,
)


def strip(text):
    """`text` without comments and with empty strings; line numbers stay as they are."""
    def blank(match):
        if match["number"]:
            return match[0].replace("'", "")
        lines = "\n" * match[0].count("\n")
        if match["comment"]:
            return " " + lines
        return ('""' if match["char"] is None else "' '") + lines
    return _TOKEN.sub(blank, text)


def includes(text):
    """(line number, header, is quoted) of each #include."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        match = re.match(r'\s*#\s*include\s*(["<])([^">]+)[">]', line)
        if match:
            found.append((number, match[2], match[1] == '"'))
    return found


_SCOPE = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")
_MEMBER_INITIALIZER = re.compile(r"\)[^()]*:(?!:).*[\w>]\s*$", re.DOTALL)


def functions(stripped):
    """(name, first line, line count) of each function body at namespace or class scope."""
    code = re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", "", stripped, flags=re.MULTILINE)
    code = _keep_lines(stripped, code)
    found, header, position, line = [], "", 0, 1
    while position < len(code):
        char = code[position]
        if char == "\n":
            line += 1
        if char in ";}":
            header = ""
        elif char != "{":
            header += char
        else:
            kind = _kind_of_brace(header)
            if kind == "scope":
                header = ""
            else:
                end = _matching_brace(code, position)
                lines = code.count("\n", position, end)
                if kind == "function":
                    found.append((_name(header), line, lines + 1))
                    header = ""
                else:
                    header += "{}"
                line += lines
                position = end
        position += 1
    return found


def _keep_lines(original, code):
    """Blanking a directive that spans lines must not shift the lines below it."""
    if original.count("\n") == code.count("\n"):
        return code
    def blank(match):
        return "\n" * match[0].count("\n")
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", blank, original, flags=re.MULTILINE)


def _kind_of_brace(header):
    """What a `{` at namespace or class scope opens: a scope, a function, or a value."""
    head = re.sub(r"\b(public|private|protected)\s*:", " ", header).strip()
    head = re.sub(r"^template\s*<[^{;]*>\s*(?=\w)", "", head)
    parenthesis = head.find("(")
    scope = _SCOPE.search(head if parenthesis < 0 else head[:parenthesis])
    if scope or not head:
        return "scope"
    if parenthesis < 0:
        return "value"
    if re.search(r"(?<![=!<>])=\s*$", head) or re.search(r"(?<!operator)=[^=]", head[:parenthesis]):
        return "value"
    if _MEMBER_INITIALIZER.search(head) and not re.search(
            r"(\)|\b(const|noexcept|override|final|mutable|try))\s*$", head):
        return "value"
    return "function"


def _matching_brace(code, start):
    depth = 0
    for position in range(start, len(code)):
        if code[position] == "{":
            depth += 1
        elif code[position] == "}":
            depth -= 1
            if depth == 0:
                return position
    return len(code) - 1


def _name(header):
    before = header[:header.find("(")].split()
    return before[-1].lstrip("*&") if before else "?"
