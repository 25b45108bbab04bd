"""Markup of Debian's documents to plain text: HTML, roff, reStructuredText, Markdown. A paragraph becomes a line."""
import html.parser
import re

# ---- HTML ----

SILENT = {"script", "style", "head", "nav", "form", "footer", "sup"}
BLOCKS = {"p", "div", "li", "tr", "table", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "section", "article", "br", "hr",
          "pre", "body", "title", "figure", "figcaption", "td", "th"}


class _Text(html.parser.HTMLParser):
    """Collects lines; within <pre> as they stand, elsewhere with white space run together."""

    def __init__(self, skip_classes):
        super().__init__(convert_charrefs=True)
        self.lines, self.line, self.silent, self.pre = [], "", [], 0
        self.skip_classes = skip_classes

    def _end_line(self):
        line = self.line.rstrip() if self.pre else " ".join(self.line.split())
        if self.pre or line:
            self.lines.append(line)
        self.line = ""

    def handle_starttag(self, tag, attributes):
        classes = set((dict(attributes).get("class") or "").split())
        if self.silent:
            if tag == self.silent[-1][0]:
                self.silent[-1][1] += 1
            return
        if tag in SILENT or classes & self.skip_classes:
            if tag not in {"br", "hr", "img", "link", "meta", "input"}:
                self.silent.append([tag, 1])
            return
        if tag in BLOCKS:
            self._end_line()
            if tag != "br" and self.lines and self.lines[-1]:
                self.lines.append("")
        if tag == "li":
            self.line = "- "
        if tag == "pre":
            self.pre += 1

    def handle_endtag(self, tag):
        if self.silent:
            if tag == self.silent[-1][0]:
                self.silent[-1][1] -= 1
                if self.silent[-1][1] == 0:
                    self.silent.pop()
            return
        if tag in BLOCKS:
            self._end_line()
            if self.lines and self.lines[-1]:
                self.lines.append("")
        if tag == "pre":
            self.pre = max(0, self.pre - 1)

    def handle_data(self, data):
        if self.silent:
            return
        if self.pre:
            *whole, rest = data.split("\n")
            for line in whole:
                self.line += line
                self._end_line()
            self.line += rest
        else:
            self.line += data


def html_to_text(markup, skip_classes=frozenset()):
    parser = _Text(set(skip_classes))
    parser.feed(markup)
    parser.close()
    parser._end_line()
    return "\n".join(parser.lines)


# ---- roff, as man pages use it ----

ROFF_CHARACTERS = {"bu": "•", "en": "–", "em": "—", "aq": "'", "co": "©", "rs": "\\", "at": "@", "ha": "^", "dq": '"', "ti": "~", "lq": "“", "rq": "”", "oq": "‘",
                   "cq": "’", "hy": "-", "mc": "µ", "Fo": "«", "Fc": "»", "ga": "`", "->": "→", "<-": "←", "<=": "≤", ">=": "≥", "mu": "×", "de": "°", "ss": "ß",
                   ":a": "ä", ":o": "ö", ":u": "ü", ":A": "Ä", ":O": "Ö", ":U": "Ü", "'e": "é", "`e": "è", "sh": "#", "Do": "$", "pl": "+", "mi": "-", "eq": "=",
                   "if": "∞", "is": "∫", "*p": "π", "sc": "§", "Eu": "€", "+-": "±", "!=": "≠", "/=": "≠", "R": "®", "Tm": "™", "ci": "○", "sq": "□"}
ROFF_STRINGS = {"lq": "“", "rq": "”", "R": "®", "Tm": "™", "S": "", "dq": '"'}
JOINING = {"B", "I", "R", "SM", "SB", "BR", "RB", "BI", "IB", "IR", "RI", "CW"}
PARAGRAPHS = {"PP", "P", "LP", "sp", "RS", "RE", "HP", "TH"}
SECTIONS_LEFT_OUT = re.compile(
    r"^(ÜBERSETZUNG|TRADUCTION|COPYRIGHT|LIZENZ|LICENCE|KOLOPHON|COLOPHON|AUTOR(EN)?|AUTEURS?|FEHLER( MELDEN)?|FEHLERBERICHTE|SIGNALER .*|BOGUES|RAPPORTER .*|"
    r"SIEHE AUCH|VOIR AUSSI|COPYRIGHT .*|URHEBERRECHT|VERSIONEN?|VERFÜGBARKEIT|DISPONIBILITÉ|HINWEISE ZUR ÜBERSETZUNG|DANKSAGUNGEN|REMERCIEMENTS)$", re.IGNORECASE)


def _unescape(text):
    text = re.sub(r'\\".*', "", text)
    text = re.sub(r"\\f(\[[^\]]*\]|\(..|.)", "", text)
    text = re.sub(r"\\[mFg](\[[^\]]*\]|\(..|.)", "", text)
    text = re.sub(r"\\s[-+]?(\[[^\]]*\]|\(..|\d)", "", text)
    text = re.sub(r"\\[hvwbloLDXNS]'[^']*'", "", text)
    text = re.sub(r"\\n(\[[^\]]*\]|\(..|.)", "", text)
    text = re.sub(r"\\\*(?:\[([^\]]*)\]|\((..)|(.))", lambda m: ROFF_STRINGS.get(m[1] or m[2] or m[3], ""), text)
    text = re.sub(r"\\(?:\[u([0-9A-Fa-f]{4,5})\])", lambda m: chr(int(m[1], 16)), text)
    text = re.sub(r"\\(?:\[([^\]]*)\]|\((..))", lambda m: ROFF_CHARACTERS.get(m[1] or m[2], ""), text)
    text = re.sub(r"\\[ ~0]", " ", text)
    text = re.sub(r"\\([&/,|^%:cduzkt{}!?)a]|$)", "", text)
    text = re.sub(r"\\-", "-", text)
    text = re.sub(r"\\\.", ".", text)
    return text.replace("\\e", "\\").replace("\\\\", "\\").replace("\\'", "´").replace("\\`", "`")


def _arguments(rest):
    return [quoted.replace('""', '"') if word is None or quoted else word
            for quoted, word in ((m[1] or "", m[2]) for m in re.finditer(r'"((?:[^"]|"")*)"?|((?:\\ |\S)+)', rest))]


def roff_to_text(page):
    """A man page without its boilerplate: no names of translators, licences or lists of other pages. Nothing if it is written in mdoc."""
    if re.search(r"(?m)^\.(Dd|so)\b", page):
        return ""
    out, words = [], []
    verbatim = left_out = label = False
    skip_until = None

    def end_paragraph():
        if words:
            out.append(" ".join(" ".join(words).split()))
            words.clear()

    for line in re.sub(r"\\c\n", r"\\c", page).split("\n"):
        if skip_until:
            if line.startswith(skip_until):
                skip_until = None
            continue
        macro = re.match(r"[.']\s*(\S*)\s*(.*)", line)
        if not macro:
            if not left_out:
                text = _unescape(line)
                if verbatim or not text.strip():
                    end_paragraph()
                    out.append(text.rstrip())
                elif label:
                    out.append(text.strip())
                else:
                    words.append(text)
            label = False
            continue
        name, rest = macro[1], macro[2]
        if name in ("SH", "SS"):
            end_paragraph()
            title = _unescape(" ".join(_arguments(rest))).strip()
            left_out = bool(SECTIONS_LEFT_OUT.match(title)) if name == "SH" or not left_out else left_out
            if not left_out and title:
                out += ["", title, ""]
        elif name in ("TS", "de", "ig", "am"):
            skip_until = ".TE" if name == "TS" else ".."
            end_paragraph()
        elif left_out:
            continue
        elif name in ("EX", "nf", "EE", "fi"):
            end_paragraph()
            out.append("")
            verbatim = name in ("EX", "nf")
        elif name in JOINING:
            parts = [_unescape(a) for a in _arguments(rest)]
            text = (" " if len(name) == 1 or name == "SM" else "").join(parts)
            if label:
                out.append(text)
            elif verbatim:
                out.append(text)
            else:
                words.append(text)
            label = label and not text
        elif name in ("TP", "TQ"):
            end_paragraph()
            if name == "TP":
                out.append("")
            label = True
        elif name == "IP":
            end_paragraph()
            arguments = _arguments(rest)
            tag = _unescape(arguments[0]) if arguments else ""
            out += [""] if not tag else ["", tag] if len(tag) > 1 else [""]
            if len(tag) == 1:
                words.append("-")
        elif name == "br":
            end_paragraph()
        elif name in PARAGRAPHS:
            end_paragraph()
            out.append("")
    end_paragraph()
    return "\n".join(out)


# ---- reStructuredText and Markdown ----

RST_BLOCKS = re.compile(r"^(\s*)\.\.\s+(toctree|contents|index|kernel-doc|include|only|raw|image|figure|kernel-figure|kernel-render|csv-table|list-table|flat-table|tabularcolumns"
                        r"|code-block\s*::\s*none|SPDX|[Cc]opyright|sectionauthor|moduleauthor|role|default-domain|kernel-include|kernel-abi|kernel-feat|cssclass)\b")


def rst_to_text(markup):
    out, skipped = [], None
    for line in markup.split("\n"):
        indent = len(line) - len(line.lstrip())
        if skipped is not None:
            if not line.strip() or indent > skipped:
                continue
            skipped = None
        if RST_BLOCKS.match(line) or re.match(r"^\s*\.\.\s+(?!\S+::|_)\S", line):
            skipped = indent
            continue
        if re.match(r"^\s*(\.\. _[^:]*:.*|:orphan:|[+|][-=+|].*[+|]|\|.*\|)\s*$", line) or re.match(r"^\s*\.\.( (code-block|highlight|parsed-literal)::.*|\s*)$|^\s+:[a-z-]+:\s*\S*$", line):
            continue
        line = re.sub(r"^(\s*)\.\. (note|warning|tip|important|attention|hint|caution|seealso)::\s*", lambda m: m[1] + m[2].capitalize() + ": ", line)
        line = re.sub(r"^(\s*)\.\. [a-zA-Z:-]+::\s*", r"\1", line)
        line = re.sub(r"(?::[a-zA-Z]+)+:`~?([^`<]*?)\s*(?:<[^`>]*>)?`", r"\1", line)
        out.append(re.sub(r"``([^`]+)``", r"\1", line))
    return "\n".join(out)


def markdown_to_text(markup):
    """Paragraphs on one line each, without emphasis, links and rules."""
    text = re.sub(r"(?m)^ {0,3}([*_-] ?){3,}$", "", markup)
    text = re.sub(r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1", text)
    out = []
    for block in re.split(r"\n\s*\n", text):
        lines = [re.sub(r"^\s*(>\s?)+", "", line) for line in block.split("\n")]
        starts = [i for i, line in enumerate(lines) if i == 0 or re.match(r"\s*([*+-]|\d+\.)\s|#", line)]
        for begin, end in zip(starts, starts[1:] + [len(lines)]):
            line = " ".join(" ".join(lines[begin:end]).split())
            line = re.sub(r"^#+\s*", "", line)
            line = re.sub(r"^[*+]\s", "- ", line)
            line = re.sub(r"(\*\*|__)(.+?)\1", r"\2", line)
            line = re.sub(r"(?<![\w*])([*_])(\S.*?)\1(?![\w*])", r"\2", line)
            line = re.sub(r"([a-z]{2}-) (?=[a-z])", r"\1", line)
            out.append(re.sub(r"\\([_*.#-])", r"\1", line))
        out.append("")
    return "\n".join(out)
