"""What pyproject.toml cannot say: a wheel has the folder `assets` inside the package."""

from setuptools import find_packages, setup

setup(packages=[*find_packages(include=["dsvl2_app*"]), "dsvl2_app.assets"], package_dir={"dsvl2_app.assets": "assets"})
