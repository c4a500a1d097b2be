#!/bin/sh
# Take out of an environment what no server needs: installers, type stubs, the libraries' own tests and samples.
# Modules are compiled here, because a read-only root cannot do it later.
set -eu
environment=$1
packages=$environment/lib/python3.11/site-packages
"$environment/bin/pip" uninstall --quiet --yes setuptools
for library in scipy numpy matplotlib mpl_toolkits pydicom highdicom fontTools; do
    find "$packages/$library" -type d \( -name tests -o -name testing -o -name sample_data \) -prune |
        grep -v -e '/numpy/testing$' -e '/matplotlib/testing$' | xargs -r rm -rf
done
find "$packages" -name '*.pyi' -delete
find "$environment" -type d -name __pycache__ -prune -exec rm -rf {} +
"$environment/bin/python" -m compileall -q -j 0 "$packages" >/dev/null || true  # templates among the libraries do not compile
"$environment/bin/python" -c 'import shutil, sys; [shutil.rmtree(p, True) for p in sys.argv[1:]]' \
    "$packages/pip" "$packages"/pip-*.dist-info
rm -f "$environment"/bin/pip*
