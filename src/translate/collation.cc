// SPDX-License-Identifier: Apache-2.0
// What collations mean to DuckDB, which knows bytes, and to the engine's functions, which know ICU and the C library.
#include "translate/translator.h"

#include <gnu/libc-version.h>
#include <wctype.h>

extern "C" {
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "mb/pg_wchar.h"
#include "utils/pg_locale.h"
}

namespace ivy::translate {

namespace {

// A column of the collation's row: of the database's for the default collation. Null if it is NULL.
const char* CatalogText(Oid collation, AttrNumber of_database, AttrNumber of_collation) {
    const bool is_default = collation == DEFAULT_COLLATION_OID;
    HeapTuple tuple = is_default ? SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId))
                                 : SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
    if (!HeapTupleIsValid(tuple)) return nullptr;
    bool isnull;
    const Datum value =
        SysCacheGetAttr(is_default ? DATABASEOID : COLLOID, tuple, is_default ? of_database : of_collation, &isnull);
    const char* string = isnull ? nullptr : TextDatumGetCString(value);
    ReleaseSysCache(tuple);
    return string;
}

const char* LibcName(Oid collation) {
    return CatalogText(collation, Anum_pg_database_datcollate, Anum_pg_collation_collcollate);
}

// The C library's C.UTF-8 orders by code points by definition, and so by bytes. Postgres makes no use of that, but we can.
bool IsLibcCodePointOrder(Oid collation, char provider) {
    const char* locale = provider == COLLPROVIDER_LIBC ? LibcName(collation) : nullptr;
    return locale != nullptr && (pg_strcasecmp(locale, "C.UTF-8") == 0 || pg_strcasecmp(locale, "C.UTF8") == 0);
}

}  // namespace

bool IsDeterministic(Oid collation) {
    if (!OidIsValid(collation)) return false;
    return pg_newlocale_from_collation(collation)->deterministic;
}

bool SortsByBytes(Oid collation) {
    if (!OidIsValid(collation) || GetDatabaseEncoding() != PG_UTF8) return false;
    const pg_locale_t locale = pg_newlocale_from_collation(collation);
    return locale->collate_is_c || IsLibcCodePointOrder(collation, locale->provider);
}

bool HasAsciiCase(Oid collation) {
    if (!OidIsValid(collation)) return false;
    return pg_newlocale_from_collation(collation)->ctype_is_c;
}

const char* CaseName(Oid collation) {
    if (!OidIsValid(collation) || GetDatabaseEncoding() != PG_UTF8) return nullptr;
    const pg_locale_t locale = pg_newlocale_from_collation(collation);
    const char* name = nullptr;
    if (locale->ctype_is_c) {
        name = "c";
    } else if (locale->provider == COLLPROVIDER_LIBC) {
        const char* ctype = CatalogText(collation, Anum_pg_database_datctype, Anum_pg_collation_collctype);
        if (ctype != nullptr) name = psprintf("libc|%s|%s", gnu_get_libc_version(), ctype);
    } else if (locale->provider == COLLPROVIDER_ICU) {
        const char* icu = CatalogText(collation, Anum_pg_database_datlocale, Anum_pg_collation_colllocale);
        const char* version = icu != nullptr ? get_collation_actual_version(COLLPROVIDER_ICU, icu) : nullptr;
        if (version != nullptr) name = psprintf("icu|%s|%s", version, icu);
    }
    return name != nullptr ? LiteralFor(TEXTOID, -1, CStringGetTextDatum(name), false) : nullptr;
}

bool HasPlainAsciiCase(Oid collation) {
    if (!OidIsValid(collation) || GetDatabaseEncoding() != PG_UTF8) return false;
    const pg_locale_t locale = pg_newlocale_from_collation(collation);
    if (locale->ctype_is_c || locale->provider == COLLPROVIDER_ICU) return true;
    if (locale->provider != COLLPROVIDER_LIBC) return false;
    for (wint_t c = 'a'; c <= 'z'; c++) {
        const wint_t capital = c - 'a' + 'A';
        if (towupper_l(c, locale->info.lt) != capital || towlower_l(capital, locale->info.lt) != c) return false;
    }
    return true;
}

const char* CollationName(Oid collation, bool* has_keys) {
    if (!OidIsValid(collation) || GetDatabaseEncoding() != PG_UTF8) return nullptr;
    const pg_locale_t locale = pg_newlocale_from_collation(collation);
    if (!locale->deterministic) return nullptr;
    const char* name = nullptr;
    const char* provider = nullptr;
    switch (locale->provider) {
        case COLLPROVIDER_ICU:
            if (CatalogText(collation, Anum_pg_database_daticurules, Anum_pg_collation_collicurules) != nullptr)
                return nullptr;
            name = CatalogText(collation, Anum_pg_database_datlocale, Anum_pg_collation_colllocale);
            provider = "icu";
            break;
        case COLLPROVIDER_LIBC:
            name = LibcName(collation);
            provider = "libc";
            break;
        default: return nullptr;
    }
    const char* version = name != nullptr ? get_collation_actual_version(locale->provider, name) : nullptr;
    if (version == nullptr) return nullptr;
    *has_keys = locale->provider == COLLPROVIDER_ICU;
    return LiteralFor(TEXTOID, -1, CStringGetTextDatum(psprintf("%s|%s|%s", provider, version, name)), false);
}

}  // namespace ivy::translate
