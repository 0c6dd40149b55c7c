"""The filters of the report's templates, as the program will have them."""


def thousands(n):
    return f"{int(n):,}"


def counted(n, noun):
    plural = noun[:-1] + "ies" if noun.endswith("y") and noun[-2] not in "aeiou" else noun + "s"
    return f"{int(n):,} {noun if n == 1 else plural}"


def score(x):
    return f"{x:.3f}"


def percent(share):
    value = share * 100
    if value in (0, 100):
        return f"{value:.0f} %"
    if value < 0.01:
        return "< 0.01 %"
    if value > 99.9:
        return "> 99.9 %"
    text = f"{value:.1g}" if value < 1 else f"{value:.1f}" if value < 10 or value > 99 else f"{value:.0f}"
    return f"{text.removesuffix('.0')} %"


def bases(n):
    for size, unit in ((1e9, "Gb"), (1e6, "Mb"), (1e3, "kb")):
        if n >= size:
            return f"{n / size:.{0 if n >= 100 * size else 1}f} {unit}"
    return counted(n, "base")


def bytes_(n):
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n >= size:
            return f"{n / size:.{0 if n >= 100 * size else 1}f} {unit}"
    return counted(n, "byte")


def seconds(s):
    if s < 10:
        return f"{s:.1f} s"
    s = round(s)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


FILTERS = {"thousands": thousands, "counted": counted, "score": score, "percent": percent, "bases": bases, "bytes": bytes_, "seconds": seconds}
