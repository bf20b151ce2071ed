using Fairlead.Storage;

namespace Fairlead.Generations;

/// <summary>The address that a request named for word of its end.</summary>
internal sealed class GenerationWebhookSchema : ISchemaStep
{
    public int Version => 301;

    public string Name => "webhooks of single requests";

    public string Sql(SqlFlavour sql) => $"ALTER TABLE generations ADD COLUMN webhook_url {sql.Text} NULL";
}
