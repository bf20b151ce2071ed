using Fairlead.Storage;

namespace Fairlead.Access;

/// <summary>How the streams of a key are batched; null for the server's setting.</summary>
internal sealed class KeyBatchingSchema : ISchemaStep
{
    public int Version => 2;

    public string Name => "batching by key";

    public string Sql(SqlFlavour sql) => """
        ALTER TABLE api_keys ADD COLUMN batch_tokens BIGINT NULL;
        ALTER TABLE api_keys ADD COLUMN batch_delay_ms BIGINT NULL;
        """;
}
