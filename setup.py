"""What pyproject.toml cannot say: arenas/ is the folder banditlab/_arenas once installed."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["banditlab*"]), "banditlab._arenas"],
    package_dir={"banditlab._arenas": "arenas"},
    package_data={
        "banditlab": ["py.typed", "papers.bib", "advice.toml"],
        "banditlab.report": ["*.css", "*.js", "uPlot.LICENSE"],
        "banditlab._arenas": ["*.toml", "logs/*.csv"],
    },
)
