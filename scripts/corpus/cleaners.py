"""What a package's file becomes: a list of documents, without licences, boilerplate and what is no text."""
import re

from corpus.markup import html_to_text, markdown_to_text, roff_to_text, rst_to_text

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufeff]")
INDEX_DIGITS = {c: i for i, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")}


def tidy(text):
    """No control characters (a form feed would end the document), no blanks at line ends, no runs of empty lines."""
    text = CONTROLS.sub("", text.replace("\r\n", "\n").replace("\x0c", "\n").replace("\u00ad", "").replace("\u00a0", " "))
    text = re.sub(r"[ \t]+\n", "\n", text)
    text = re.sub(r"\n{3,}", "\n\n", text).strip("\n")
    return text + "\n" if text else ""


def decode(data):
    return data.decode("utf-8", "ignore")


# ---- prose ----

COPYRIGHT_LINE = re.compile(r"^\W*(copyright\b|\(c\)|©).*\d{4}.*\n", re.IGNORECASE | re.MULTILINE)


def without_copyright_lines(text):
    return COPYRIGHT_LINE.sub("", text)


def handbook(data):
    text = html_to_text(decode(data), {"docnav", "product-logo", "breadcrumbs", "toc", "legalnotice"})
    return [text.replace("Download the ebook\n", "")]


def man_page(data):
    return [roff_to_text(decode(data))]


def kernel_documentation(data):
    return [rst_to_text(decode(data))]


def essay(data):
    return [markdown_to_text(decode(data))]


def reference_sections(data):
    """Debian Reference as text: its sections (1.2., 1.2.3.), without tables and without the list of contents in front."""
    lines = [re.sub(r"^ {4}", "", line) for line in decode(data).split("\n") if not re.match(r"\s*[+|]", line)]
    starts = [i for i, line in enumerate(lines) if re.match(r"\d+\.\d+\. \S", line)]
    return [unwrapped("\n".join(lines[a:b])) for a, b in zip(starts, starts[1:] + [len(lines)])]


def unwrapped(text):
    """Lines of a paragraph put together; what is indented, or a list, stays."""
    out = []
    for block in re.split(r"\n\s*\n", text):
        lines = block.split("\n")
        flows = len(lines) > 1 and not any(re.match(r"\s|[$#*]", line) for line in lines[1:]) and len(lines[0]) > 45
        out.append(" ".join(lines) if flows else block)
    return "\n\n".join(out)


def fortunes(data):
    return [saying for saying in decode(data).split("\n%\n")]


# ---- dictionaries ----


def dict_number(digits):
    """dictd writes offsets in base 64."""
    value = 0
    for c in digits:
        value = value * 64 + INDEX_DIGITS[c]
    return value


def dict_entries(index, data):
    """The entries of a dictd dictionary, each once, by its index."""
    spans = set()
    for line in decode(index).split("\n"):
        fields = line.split("\t")
        if len(fields) == 3 and not fields[0].startswith("00"):
            spans.add((dict_number(fields[1]), dict_number(fields[2])))
    return [decode(data[at:at + size]) for at, size in sorted(spans)]


def filled(text):
    """A headword line, and its paragraphs on a line each."""
    head, _, body = text.strip("\n").partition("\n")
    paragraphs = [" ".join(block.split()) for block in re.split(r"\n\s*\n", body)]
    return "\n".join([head.strip()] + [p for p in paragraphs if p])


def computing_entry(text):
    text = re.sub(r"(?m)^\s*\(\d{4}-\d\d-\d\d\)\s*$", "", re.sub(r"[{}]", "", text))
    return filled(text)


def webster_entry(text):
    text = re.sub(r"\s*\\[^\\\n]*\\", "", text, count=1)  # in syllables, and how it is spoken
    text = re.sub(r"\s*\([^()]{0,200}\[[^()\[\]]{1,5}\][^()]{0,200}\)", "", text, count=1)
    text = re.sub(r"\[(1913 Webster|PJC|WordNet [\d.]+|Webster[^\]]*|Century Dict[^\]]*|Standard[^\]]*|\+PJC|\d{4} [^\]]*|RP|AS|CP|GG|MW10|R\. H\.)\]", "", text)
    text = re.sub(r"(?m)^\s+(?=\d+\. |\([a-z]\) )", "\n", re.sub(r"[{}]", "", text))
    return filled(text)


def wordnet_entry(text):
    text = re.sub(r"(?m)^\s+(?=(n|v|adj|adv|r|s) \d*:?)|^\s+(?=\d+: )", "\n", re.sub(r"[{}]", "", text))
    return filled(text)


# ---- code ----

LICENCE = re.compile(r"copyright|licen[sc]e|all rights reserved", re.IGNORECASE)


def python_code(data):
    lines = decode(data).expandtabs(8).split("\n")
    while lines and (not lines[0].strip() or lines[0].startswith("#")):  # shebang, coding, licence
        lines.pop(0)
    return ["\n".join(line for line in lines if not (line.lstrip().startswith("#") and LICENCE.search(line)))]


def cpp_code(data):
    """Without licence, include guard and includes."""
    text = decode(data).expandtabs(4)
    once = r"#\s*if\b[^\n]*\n(\s*#\s*pragma\b[^\n]*\n)+\s*#\s*endif[^\n]*"
    text = re.sub(r"\A(\s*(//[^\n]*|/\*.*?\*/|" + once + r"|#\s*(ifndef|define|pragma)\b[^\n]*)\n)+", "", text, flags=re.DOTALL)
    text = re.sub(r"(?m)^#\s*(include|pragma)\b[^\n]*\n", "", text)
    text = re.sub(r"/\*(?:(?!\*/).)*?(?:copyright|licen[sc]e)(?:(?!\*/).)*\*/|(?m:^//[^\n]*(?:copyright|licen[sc]e)[^\n]*\n)", "", text, flags=re.DOTALL | re.IGNORECASE)
    return [re.sub(r"#\s*endif[^\n]*\s*\Z", "", text)]


def letters_share(text):
    return sum(c.isalpha() or c == " " for c in text) / max(1, len(text))
