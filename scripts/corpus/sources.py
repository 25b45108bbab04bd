"""Where each domain's text comes from. Sizes are caps in bytes, of what is left after cleaning."""
import dataclasses
import re
from typing import Callable

from corpus import cleaners

MB = 1_000_000


@dataclasses.dataclass(frozen=True)
class Source:
    package: str
    files: str  # a regular expression, searched in the path inside the package
    clean: Callable[[bytes], list[str]]
    cap: int
    without: str = r"(?!)"  # paths that match this are left out
    shortest: int = 400     # bytes of a document
    index: str = ""         # of a dictionary: the file that says where its entries are
    prose: bool = True      # repeated lines are boilerplate, and most characters are letters
    original: str = ""      # files of which a translation is made: lines that are the same there were not translated

    def wants(self, path):
        return re.search(self.files, path) and not re.search(self.without, path)


@dataclasses.dataclass(frozen=True)
class Package:
    version: str  # that the figures of docs and model cards were made with
    licence: str  # in short; the package's own words are put beside the corpus


PACKAGES = {
    "linux-doc-6.1": Package("6.1.192-2", "GPL-2"),
    "debian-handbook": Package("11.20220922", "GPL-2+ or CC-BY-SA-3.0"),
    "manpages-de": Package("4.18.1-1", "GPL-3+ and the pages' own"),
    "manpages-fr": Package("4.18.1-1", "GPL-3+ and the pages' own"),
    "debian-reference-de": Package("2.100", "GPL-2+"),
    "debian-reference-fr": Package("2.100", "GPL-2+"),
    "fortunes-de": Package("0.35-1", "GPL-2+"),
    "anarchism": Package("15.3-3", "GPL-2"),
    "dict-foldoc": Package("20230119-1", "GFDL-1.1+"),
    "dict-gcide": Package("0.48.5+nmu2", "GPL-2+"),
    "dict-wn": Package("1:3.0-37", "WordNet 3.0"),
    "libpython3.11-stdlib": Package("3.11.2-6+deb12u9", "PSF-2"),
    "libpython3.11-minimal": Package("3.11.2-6+deb12u9", "PSF-2"),
    "libboost1.74-dev": Package("1.74.0+ds1-21", "BSL-1.0"),
}

BOOST_WITHOUT = (r"preprocessed|/vmd/|mpl/aux_|/preprocessor/|fusion/.*/cpp03|/typeof/|/geometry/srs|numbered|/spirit/home/.*/encoding|/phoenix/.*/(cpp03|preproc)"
                 r"|compute/detail|/math/.*/detail/(bessel|polynomial|rational)|lookup|/predef/|/config/|/vmd|_fwd\.hpp|/pch")
TABLES_OF_PYTHON = r"/encodings/|pydoc_data|_sysconfigdata|stringprep|html/entities|msilib|/lib2to3/pgen2/|mimetypes|/test/|_strptime|sre_constants|token\.py"

INDEX_PAGES = r"/systemd\.(directives|index)\."

DOMAINS = {
    "english": [Source("linux-doc-6.1", r"/_sources/.*\.txt(\.gz)?$", cleaners.kernel_documentation, 11 * MB, r"/translations/|/media/|devices\.rst|/sound/.*list|/arm/|ioctl-number"),
                Source("debian-handbook", r"/html/en-US/.*\.html$", cleaners.handbook, MB)],
    "german": [Source("manpages-de", r"/man/de/man./.*\.gz$", cleaners.man_page, 8 * MB, INDEX_PAGES),
               Source("debian-handbook", r"/html/de-DE/.*\.html$", cleaners.handbook, 2 * MB, original=r"/html/en-US/.*\.html$"),
               Source("fortunes-de", r"/fortunes/de/[^./]+$", cleaners.fortunes, 2 * MB, r"asciiart|-o$", shortest=80),
               Source("debian-reference-de", r"\.txt\.gz$", cleaners.reference_sections, MB)],
    "french": [Source("manpages-fr", r"/man/fr/man./.*\.gz$", cleaners.man_page, 4 * MB, INDEX_PAGES),
               Source("debian-handbook", r"/html/fr-FR/.*\.html$", cleaners.handbook, 2 * MB, original=r"/html/en-US/.*\.html$"),
               Source("debian-reference-fr", r"\.txt\.gz$", cleaners.reference_sections, MB)],
    "essays": [Source("anarchism", r"/markdown/.*\.md\.gz$", cleaners.essay, 11 * MB, r"links|append31|changelog|index|biblio")],
    "facts": [Source("dict-foldoc", r"/foldoc\.dict\.dz$", cleaners.computing_entry, 4 * MB, shortest=120, index=r"/foldoc\.index$", prose=False),
              Source("dict-gcide", r"/gcide\.dict\.dz$", cleaners.webster_entry, 4 * MB, shortest=120, index=r"/gcide\.index$", prose=False),
              Source("dict-wn", r"/wn\.dict\.dz$", cleaners.wordnet_entry, 4 * MB, shortest=120, index=r"/wn\.index$", prose=False)],
    "python": [Source("libpython3.11-stdlib", r"\.py$", cleaners.python_code, 5 * MB, TABLES_OF_PYTHON, prose=False),
               Source("libpython3.11-minimal", r"\.py$", cleaners.python_code, 2 * MB, TABLES_OF_PYTHON, prose=False)],  # the rest of the library
    "cpp": [Source("libboost1.74-dev", r"\.hpp$", cleaners.cpp_code, 6 * MB, BOOST_WITHOUT, shortest=1500, prose=False)],
    "maths": [],
}
MATHS_BYTES, MATHS_SEED = 5 * MB, 1
# The share of a document's five-word runs that may be known already. Headers of templates repeat each other most.
MOST_KNOWN = {"cpp": 0.3, "maths": 0.9}
