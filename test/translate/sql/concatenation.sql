-- SPDX-License-Identifier: Apache-2.0
-- On IvorySQL the result of || on NULL depends on the mode of the session: it is not strict there, and not shipped.
SET search_path = mirror, public;
\pset tuples_only on
\pset format unaligned
SELECT ivy_translate('SELECT t || v, b || t FROM a');
