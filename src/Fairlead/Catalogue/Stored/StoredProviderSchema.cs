using Fairlead.Storage;

namespace Fairlead.Catalogue.Stored;

/// <summary>
/// Providers beside the configuration, their keys, and the key ring that encrypts the secrets. Every change counts in the one row of
/// <c>stored_provider_revision</c>, so that a node finds out by reading one number. Times are milliseconds since 1970 in UTC.
/// </summary>
internal sealed class StoredProviderSchema : ISchemaStep
{
    public int Version => 870;

    public string Name => "providers beside the configuration";

    public string Sql(SqlFlavour sql) => $"""
        CREATE TABLE stored_providers (
            name {sql.Text} NOT NULL PRIMARY KEY,
            kind {sql.Text} NOT NULL,
            base_url {sql.Text} NULL,
            models {sql.Text} NOT NULL,
            enabled BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE TABLE stored_provider_keys (
            id {sql.Text} NOT NULL PRIMARY KEY,
            provider {sql.Text} NOT NULL REFERENCES stored_providers (name) ON DELETE CASCADE,
            name {sql.Text} NOT NULL,
            secret {sql.Bytes} NOT NULL,
            enabled BIGINT NOT NULL,
            created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL
        ){sql.Keyed};
        CREATE INDEX stored_provider_keys_by_provider ON stored_provider_keys (provider, id);
        CREATE TABLE key_ring (
            name {sql.Text} NOT NULL PRIMARY KEY,
            xml {sql.Text} NOT NULL
        ){sql.Keyed};
        CREATE TABLE stored_provider_revision (revision BIGINT NOT NULL);
        INSERT INTO stored_provider_revision (revision) VALUES (1);
        """;
}
