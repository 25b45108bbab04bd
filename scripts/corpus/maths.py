"""School mathematics with worked steps, as many problems as wanted: the same ones for the same seed.

A problem is one function: it draws numbers over wide ranges and returns question and steps, which lead to the answer by the way that a
pupil would write. Wording varies, so that neither a compressor nor a model gets far by knowing the forms.
"""
import math
import random
from fractions import Fraction


def number(rng, digits=6):
    """As many of one digit as of two, and so on."""
    n = rng.randint(1, digits)
    return rng.randint(10 ** (n - 1), 10 ** n - 1)


def signed(n):
    return f"+ {n}" if n >= 0 else f"- {-n}"


def decimal(value, places):
    """value / 10^places, written out."""
    whole, rest = divmod(abs(value), 10 ** places)
    return ("-" if value < 0 else "") + (f"{whole}.{rest:0{places}d}" if places else str(whole))


def term(factor, letter, first=False):
    size = "" if abs(factor) == 1 else str(abs(factor))
    sign = "-" if factor < 0 else "" if first else "+"
    return f"{sign}{size}{letter}" if first else f"{sign} {size}{letter}"


THINGS = ["apples", "bolts", "books", "bottles", "bricks", "cards", "chairs", "coins", "cups", "eggs", "letters", "nails", "pencils", "plants", "seeds", "shells",
          "stamps", "stones", "tiles", "tickets"]
PEOPLE = ["Ada", "Ben", "Chen", "Dora", "Emil", "Fatima", "Goran", "Hana", "Ivo", "Jana", "Kofi", "Lena", "Mira", "Noah", "Olga", "Pablo", "Rosa", "Samir", "Tess", "Yuki"]
LETTERS = "abcdhkmnpqrstuvwxyz"


def addition(rng):
    a, b = number(rng, 7), number(rng, 7)
    lines, carry, place = [], 0, 0
    while a // 10 ** place or b // 10 ** place:
        x, y = a // 10 ** place % 10, b // 10 ** place % 10
        total = x + y + carry
        lines.append(f"{x} + {y}" + (f" + {carry}" if carry else "") + f" = {total}" + (f", write {total % 10}, carry {total // 10}" if total > 9 else ""))
        carry, place = total // 10, place + 1
    ask = rng.choice([f"Add {a} and {b}.", f"What is {a} + {b}?", f"{a} + {b} = ?", f"Find the sum of {a} and {b}."])
    return ask, lines + [f"{a} + {b} = {a + b}"]


def subtraction(rng):
    a, b = sorted((number(rng, 7), number(rng, 7)), reverse=True)
    if rng.random() < 0.2:
        return rng.choice([f"What is {b} - {a}?", f"{b} - {a} = ?"]), [f"{a} is larger, so the result is negative: {a} - {b} = {a - b}", f"{b} - {a} = {b - a}"]
    ask = rng.choice([f"Subtract {b} from {a}.", f"What is {a} - {b}?", f"How much larger is {a} than {b}?"])
    up = -b % 10 ** len(str(b))
    return ask, [f"From {b} to {b + up} it is {up}.", f"From {b + up} to {a} it is {a - b - up}.", f"{up} {signed(a - b - up)} = {a - b}"]


def multiplication(rng):
    a, b = number(rng, 5), number(rng, 3)
    parts = [(int(d) * 10 ** i) for i, d in enumerate(reversed(str(b))) if d != "0"]
    lines = [f"{a} * {p} = {a * p}" for p in parts]
    if len(parts) > 1:
        lines.append(" + ".join(str(a * p) for p in parts) + f" = {a * b}")
    return rng.choice([f"Multiply {a} by {b}.", f"What is {a} * {b}?", f"{a} * {b} = ?", f"Find the product of {a} and {b}."]), lines


def division(rng):
    a, b = number(rng, 7), number(rng, 2) + 1
    lines, rest = [], 0
    for digit in str(a):
        value = rest * 10 + int(digit)
        if value >= b or lines:
            lines.append(f"{value} / {b} = {value // b}, {value // b} * {b} = {value // b * b}, rest {value % b}")
        rest = value % b
    lines.append(f"{a} = {a // b} * {b} + {a % b}")
    return rng.choice([f"Divide {a} by {b}, with remainder.", f"How often does {b} go into {a}, and what is left?", f"{a} : {b} = ?"]), lines


def greatest_divisor(rng):
    common = number(rng, 2)
    a, b = sorted((common * number(rng, 3), common * number(rng, 3)), reverse=True)
    x, y, lines = a, b, []
    while y:
        lines.append(f"{x} = {x // y} * {y} + {x % y}")
        x, y = y, x % y
    if rng.random() < 0.4:
        return f"Find the least common multiple of {a} and {b}.", lines + [f"gcd = {x}", f"lcm = {a} * {b} / {x} = {a * b // x}"]
    return rng.choice([f"Find the greatest common divisor of {a} and {b}.", f"gcd({a}, {b}) = ?"]), lines + [f"gcd({a}, {b}) = {x}"]


def factorisation(rng):
    n = rest = number(rng, 5) + 1
    factors, lines, p = [], [], 2
    while p * p <= rest:
        while rest % p == 0:
            lines.append(f"{rest} = {p} * {rest // p}")
            factors.append(p)
            rest //= p
        p += 1
    if rest > 1:
        factors.append(rest)
    end = f"{n} is prime." if len(factors) == 1 else f"{n} = " + " * ".join(map(str, factors))
    return rng.choice([f"Write {n} as a product of primes.", f"Factorise {n}.", f"Is {n} prime? If not, factorise it."]), lines + [end]


def fractions(rng):
    a, b, c, d = number(rng, 2), number(rng, 2) + 1, number(rng, 2), number(rng, 2) + 1
    op = rng.choice("+-*/")
    x, y = Fraction(a, b), Fraction(c, d)
    if op in "+-":
        m = math.lcm(b, d)
        p, q = a * m // b, c * m // d
        lines = [f"The common denominator is {m}.", f"{a}/{b} = {p}/{m} and {c}/{d} = {q}/{m}", f"{p}/{m} {op} {q}/{m} = {p + q if op == '+' else p - q}/{m}"]
        value = x + y if op == "+" else x - y
    elif op == "*":
        lines, value = [f"{a} * {c} = {a * c}, {b} * {d} = {b * d}", f"The product is {a * c}/{b * d}."], x * y
    else:
        lines, value = [f"Dividing by {c}/{d} is multiplying by {d}/{c}.", f"{a} * {d} = {a * d}, {b} * {c} = {b * c}"], x / y
    task = f"({a}/{b}) / ({c}/{d})" if op == "/" else f"{a}/{b} {op} {c}/{d}"
    return rng.choice([f"Calculate {task}.", f"{task} = ?"]), lines + [f"In lowest terms: {value}"]


def percentage(rng):
    p, base, who, thing = rng.randint(1, 99), number(rng, 5), rng.choice(PEOPLE), rng.choice(THINGS)
    price = number(rng, 5) + 99
    if rng.random() < 0.5:
        return f"What is {p}% of {base}?", [f"1% of {base} is {decimal(base, 2)}.", f"{p} * {decimal(base, 2)} = {decimal(p * base, 2)}"]
    change = rng.choice(["cheaper", "dearer"])
    new = price * (100 - p if change == "cheaper" else 100 + p)
    sign = "-" if change == "cheaper" else "+"
    return (f"{who} buys {thing} for {decimal(price, 2)}. Next week they are {p}% {change}. What do they cost then?",
            [f"{p}% of {decimal(price, 2)} is {decimal(price * p, 4)}.", f"{decimal(price, 2)} {sign} {decimal(price * p, 4)} = {decimal(new, 4)}"])


def linear_equation(rng):
    letter = rng.choice(LETTERS)
    x, a, c = rng.randint(-99, 99), rng.randint(2, 60) * rng.choice([1, -1]), rng.randint(-60, 60)
    b = rng.randint(-999, 999)
    if c == a:
        c -= 1
    d = a * x + b - c * x
    left = f"{term(a, letter, True)} {signed(b)}"
    right = f"{term(c, letter, True)} {signed(d)}" if c else f"{d}"
    lines = []
    if c:
        lines.append(f"Take {term(c, letter, True)} from both sides: {term(a - c, letter, True)} {signed(b)} = {d}")
    lines += [f"Take {b} from both sides: {term(a - c, letter, True)} = {d - b}", f"Divide by {a - c}: {letter} = {x}" if a - c != 1 else f"So {letter} = {x}"]
    return rng.choice([f"Solve {left} = {right}.", f"Find {letter}: {left} = {right}"]), lines


def two_equations(rng):
    x, y = rng.randint(-50, 50), rng.randint(-50, 50)
    a, b, c, d = (rng.choice([1, -1]) * rng.randint(1, 12) for _ in range(4))
    if a * d == b * c:
        d += 1 if d != -1 else 2
    if a * d == b * c:
        return linear_equation(rng)
    e, f = a * x + b * y, c * x + d * y
    det = a * d - b * c
    lines = [f"Multiply the first by {d} and the second by {b}: {term(a * d, 'x', True)} {term(b * d, 'y')} = {e * d} and {term(b * c, 'x', True)} {term(b * d, 'y')} = {f * b}",
             f"Subtract: {term(det, 'x', True)} = {e * d - f * b}, so x = {x}", f"Put it in: {term(b, 'y', True)} = {e} {signed(-a * x)} = {b * y}, so y = {y}"]
    return f"Solve {term(a, 'x', True)} {term(b, 'y')} = {e} and {term(c, 'x', True)} {term(d, 'y')} = {f}.", lines


def quadratic(rng):
    p, q = rng.randint(-40, 40), rng.randint(-40, 40)
    b, c = -(p + q), p * q
    if b == 0 or c == 0:
        return linear_equation(rng)
    equation = f"x^2 {term(b, 'x')} {signed(c)} = 0"
    disc = b * b - 4 * c
    lines = [f"The discriminant is {b * b} {signed(-4 * c)} = {disc}, its root {abs(p - q)}.", f"x = ({-b} + {abs(p - q)}) / 2 = {max(p, q)}", f"x = ({-b} - {abs(p - q)}) / 2 = {min(p, q)}"]
    return rng.choice([f"Solve {equation}.", f"Find the roots: {equation}"]), lines if p != q else lines[:2]


def derivative(rng):
    powers = sorted(rng.sample(range(0, 9), rng.randint(2, 4)), reverse=True)
    terms = [(rng.choice([1, -1]) * rng.randint(2, 30), p) for p in powers]

    def show(parts):
        out = " ".join(term(f, {0: "", 1: "x"}.get(p, f"x^{p}"), i == 0) if p or abs(f) != 1 else (str(f) if i == 0 else signed(f)) for i, (f, p) in enumerate(parts))
        return out or "0"

    result = [(f * p, p - 1) for f, p in terms if p]
    lines = [f"({show([t])})' = {show([(t[0] * t[1], t[1] - 1)])}" for t in terms if t[1]]
    at = rng.randint(-5, 5)
    if rng.random() < 0.5:
        return f"f(x) = {show(terms)}. What is f'({at})?", lines + [f"f'(x) = {show(result)}", f"f'({at}) = {sum(f * at ** p for f, p in result)}"]
    return f"Differentiate {show(terms)}.", lines + [f"The derivative is {show(result)}."]


def sequence(rng):
    a, d, n = rng.randint(-99, 99), rng.choice([1, -1]) * rng.randint(2, 50), number(rng, 3) + 5
    shown = ", ".join(str(a + i * d) for i in range(4))
    last = a + (n - 1) * d
    if rng.random() < 0.5:
        return f"What is term {n} of the sequence {shown}, ...?", [f"Each term is {d} more than the one before." if d > 0 else f"Each term is {-d} less than the one before.",
                                                                    f"Term {n} is {a} + {n - 1} * {d} = {last}" if d > 0 else f"Term {n} is {a} - {n - 1} * {-d} = {last}"]
    return f"Add the first {n} terms of {shown}, ...", [f"The last term is {last}.", f"First and last make {a + last}.", f"{n} * {a + last} / 2 = {n * (a + last) // 2}"]


def geometry(rng):
    a, b, c = number(rng, 3), number(rng, 3), number(rng, 2)
    unit = rng.choice(["cm", "m", "mm", "km"])
    return rng.choice([
        (f"A rectangle is {a} {unit} long and {b} {unit} wide. Find its area and its perimeter.", [f"Area: {a} * {b} = {a * b} {unit}^2", f"Perimeter: 2 * ({a} + {b}) = {2 * (a + b)} {unit}"]),
        (f"A box measures {a} by {b} by {c} {unit}. What is its volume?", [f"{a} * {b} = {a * b}", f"{a * b} * {c} = {a * b * c} {unit}^3"]),
        (f"A triangle has base {a} {unit} and height {b} {unit}. What is its area?", [f"{a} * {b} = {a * b}", f"Half of it: {decimal(a * b * 5, 1)} {unit}^2"]),
        (f"Two angles of a triangle are {a % 89 + 1} and {b % 89 + 1} degrees. How large is the third?", [f"{a % 89 + 1} + {b % 89 + 1} = {a % 89 + b % 89 + 2}", f"180 - {a % 89 + b % 89 + 2} = {178 - a % 89 - b % 89} degrees"]),
    ])


def pythagoras(rng):
    m, n, k = rng.randint(2, 12), rng.randint(1, 11), rng.randint(1, 9)
    if m <= n:
        m = n + 1
    a, b, c = k * (m * m - n * n), k * 2 * m * n, k * (m * m + n * n)
    if rng.random() < 0.5:
        return f"A right triangle has legs {a} and {b}. How long is the hypotenuse?", [f"{a}^2 + {b}^2 = {a * a} + {b * b} = {c * c}", f"The root of {c * c} is {c}."]
    return f"In a right triangle the hypotenuse is {c} and one leg {a}. Find the other leg.", [f"{c}^2 - {a}^2 = {c * c} - {a * a} = {b * b}", f"The root of {b * b} is {b}."]


def speed(rng):
    v, h, quarters, who = rng.randint(3, 240), rng.randint(0, 14), rng.randint(1, 3), rng.choice(PEOPLE)
    minutes = 15 * quarters
    way = v * (4 * h + quarters)
    return rng.choice([
        (f"{who} travels at {v} km/h for {h} hours and {minutes} minutes. How far is that?", [f"{h} hours and {minutes} minutes are {decimal((4 * h + quarters) * 25, 2)} hours.", f"{v} * {decimal((4 * h + quarters) * 25, 2)} = {decimal(way * 25, 2)} km"]),
        (f"{who} covers {decimal(way * 25, 2)} km at {v} km/h. How long does it take?", [f"{decimal(way * 25, 2)} / {v} = {decimal((4 * h + quarters) * 25, 2)} hours", f"That is {h} hours and {minutes} minutes."]),
    ])


def sharing(rng):
    who, thing = rng.choice(PEOPLE), rng.choice(THINGS)
    other = rng.choice([name for name in PEOPLE if name != who])
    a, b, each = number(rng, 3), number(rng, 3), rng.randint(2, 40)
    total = a + b
    return rng.choice([
        (f"{who} has {a} {thing} and gets {b} more. They go into boxes of {each}. How many boxes are full, and how many {thing} are left?", [f"{a} + {b} = {total}", f"{total} / {each} = {total // each}, rest {total % each}", f"{total // each} boxes are full and {total % each} {thing} are left."]),
        (f"{who} and {other} share {total * 2} {thing}. {who} gets {2 * abs(a - b)} more. How many has each?", [f"{total * 2} - {2 * abs(a - b)} = {2 * total - 2 * abs(a - b)}", f"Half of it is {total - abs(a - b)}.", f"{other} has {total - abs(a - b)}, {who} has {total + abs(a - b)}."]),
        (f"{each} {thing} cost {decimal(each * a, 2)}. What do {b} cost?", [f"One costs {decimal(each * a, 2)} / {each} = {decimal(a, 2)}.", f"{b} * {decimal(a, 2)} = {decimal(a * b, 2)}"]),
    ])


def binary(rng):
    n = number(rng, 4)
    rest, lines = n, []
    base = rng.choice([2, 2, 8, 16, 3, 5])
    digits = ""
    while rest:
        lines.append(f"{rest} = {rest // base} * {base} + {rest % base}")
        digits = "0123456789ABCDEF"[rest % base] + digits
        rest //= base
    if rng.random() < 0.5:
        return rng.choice([f"Write {n} in base {base}.", f"What is {n} in base {base}?"]), lines + [f"Read from below: {digits}"]
    return f"The number {digits} is in base {base}. What is it in base 10?", [" + ".join(f"{int(d, 16)} * {base ** i}" for i, d in reversed(list(enumerate(reversed(digits))))) + f" = {n}"]


def statistics(rng):
    values = [number(rng, 3) for _ in range(rng.choice([3, 5, 7, 9]))]
    values[-1] += -sum(values) % len(values)
    ordered = sorted(values)
    listed = ", ".join(map(str, values))
    total = sum(values)
    return rng.choice([
        (f"Find the mean of {listed}.", [" + ".join(map(str, values)) + f" = {total}", f"{total} / {len(values)} = {total // len(values)}"]),
        (f"Find the median of {listed}.", ["In order: " + ", ".join(map(str, ordered)), f"The one in the middle is {ordered[len(values) // 2]}."]),
        (f"What is the range of {listed}?", [f"The largest is {ordered[-1]}, the smallest {ordered[0]}.", f"{ordered[-1]} - {ordered[0]} = {ordered[-1] - ordered[0]}"]),
    ])


def powers(rng):
    base, exponent, modulus = number(rng, 2) + 1, rng.randint(2, 5), number(rng, 2) + 2
    if rng.random() < 0.5:
        lines, value = [], base
        for _ in range(exponent - 1):
            lines.append(f"{value} * {base} = {value * base}")
            value *= base
        return rng.choice([f"Calculate {base}^{exponent}.", f"What is {base} to the power of {exponent}?"]), lines
    lines, value, exponent = [], base % modulus, exponent + 4
    for i in range(2, exponent + 1):
        lines.append(f"{base}^{i}: {value} * {base} = {value * base}, rest {value * base % modulus}")
        value = value * base % modulus
    return f"What is the remainder of {base}^{exponent} divided by {modulus}?", lines + [f"The remainder is {value}."]


def expansion(rng):
    a, b, c, d = (rng.choice([1, -1]) * rng.randint(1, 20) for _ in range(4))
    letter = rng.choice(LETTERS)
    question = f"({term(a, letter, True)} {signed(b)})({term(c, letter, True)} {signed(d)})"
    square, middle = f"{letter}^2", a * d + b * c
    result = f"{term(a * c, square, True)}" + (f" {term(middle, letter)}" if middle else "") + f" {signed(b * d)}"
    return rng.choice([f"Expand {question}.", f"Multiply out: {question}"]), [
        f"{term(a * c, square, True)} {term(a * d, letter)} {term(b * c, letter)} {signed(b * d)}", f"= {result}"]


def clock(rng):
    start, length = rng.randrange(24 * 60), number(rng, 4)
    hours, minutes = divmod(length, 60)
    end = (start + length) % 1440
    days = (start + length) // 1440
    later = "" if not days else " the next day" if days == 1 else f" {days} days later"
    return (rng.choice([f"It is {start // 60}:{start % 60:02d}. What time is it {length} minutes later?", f"A process starts at {start // 60}:{start % 60:02d} and takes {length} minutes. When does it end?"]),
            [f"{length} minutes are {hours} hours and {minutes} minutes.", f"{start // 60}:{start % 60:02d} and {hours} hours and {minutes} minutes make {end // 60}:{end % 60:02d}{later}."])


KINDS = [addition, subtraction, multiplication, division, greatest_divisor, factorisation, fractions, percentage, linear_equation, two_equations, quadratic, derivative,
         sequence, geometry, pythagoras, speed, sharing, binary, statistics, powers, expansion, clock]


def worksheet(rng):
    """A few problems: of one kind, or mixed."""
    kinds = [rng.choice(KINDS)] * rng.randint(2, 4) if rng.random() < 0.4 else [rng.choice(KINDS) for _ in range(rng.randint(2, 6))]
    numbered = rng.random() < 0.5
    out = []
    for i, kind in enumerate(kinds):
        question, steps = kind(rng)
        out.append((f"{i + 1}. " if numbered else "") + question + "\n" + "\n".join(steps))
    return "\n\n".join(out) + "\n"


def worksheets(seed, size):
    """Documents of about `size` bytes in all."""
    rng = random.Random(seed)
    out, total = [], 0
    while total < size:
        out.append(worksheet(rng))
        total += len(out[-1])
    return out
