"""Every route belongs to a surface, and so does every path that no route matches."""

from pathlib import Path

import pytest
import tidemark
from hypothesis import given
from hypothesis import strategies as st
from tidemark.http.errors import PLATFORM_ERRORS
from tidemark.http.route import Route
from tidemark.http.surface import BEARER, ROOT, Surface, SurfaceMap
from tidemark.server.application import ROUTES, SURFACES

SOURCES = [path.read_text(encoding="utf-8") for path in Path(tidemark.__path__[0]).rglob("*.py")]
HERE = SurfaceMap(SURFACES)
PREFIXES = {prefix: surface for surface in SURFACES for prefix in surface.prefixes}


def on(surface: Surface, path: str) -> bool:
    """Whether a path is one of a surface's paths, or below one."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in surface.prefixes)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_a_route_is_on_the_surface_that_its_path_is_on(route: Route) -> None:
    assert on(route.surface, route.path)
    # So a method that the path does not allow is refused in the same way as anything else there.
    assert HERE.at(route.path) is HERE.at(f"{route.path}/") is route.surface
    assert not route.path.endswith("/")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
def test_a_documented_path_is_found_in_the_code(path: str) -> None:
    assert any(f'"{path}"' in source for source in SOURCES)


def test_no_two_routes_and_no_two_surfaces_are_at_the_same_place() -> None:
    assert len({(route.method, route.path) for route in ROUTES}) == len(ROUTES)
    assert len(PREFIXES) == sum(len(surface.prefixes) for surface in SURFACES)


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/api/v1/nothing", "/api/v1"),
        ("/api/v1", "/api/v1"),
        ("/api/v1/", "/api/v1"),
        ("/api/v1/analytics/nothing", "/api/v1/analytics"),
        ("/api/v1/analyticsx", "/api/v1"),
        ("/api/v1/series/batch/x", "/api/v1/series"),
        ("/api/v1/writes", "/api/v1"),
        ("/api/v2/writes", "/api/v2"),
        ("/api/v2/write/", "/api/v2/write"),
        ("/api/v2/sites/a/b/c", "/api/v2/sites"),
        ("/api/v2//sites", "/api/v2"),
        ("/api/external/v1/x", "/api/external/v1"),
        ("/write/x", "/write"),
        ("/api/v10", None),
        ("/api/v3", None),
        ("/api/external", None),
        ("/API/V1/latest", None),
        ("/writes", None),
        ("/health/x", None),
        ("/", None),
        ("", None),
        ("*", None),
    ],
)
def test_what_nobody_answers_is_on_the_surface_around_it(path: str, surface: str | None) -> None:
    assert HERE.at(path) is (ROOT if surface is None else PREFIXES[surface])


SEGMENTS = st.sampled_from(["a", "b", "ab", ""])
PATHS = st.lists(SEGMENTS, max_size=4).map(lambda segments: "".join(f"/{one}" for one in segments))


@given(prefixes=st.lists(PATHS, unique=True, max_size=6), path=PATHS)
def test_of_several_prefixes_the_longest_counts(prefixes: list[str], path: str) -> None:
    surfaces = {prefix: Surface((prefix,), PLATFORM_ERRORS, BEARER) for prefix in prefixes}
    segments = path.split("/")
    above = ["/".join(segments[:length]) for length in range(len(segments), 0, -1)]
    expected = next((surfaces[one] for one in above if one in surfaces), ROOT)
    assert SurfaceMap(surfaces.values()).at(path) is expected
