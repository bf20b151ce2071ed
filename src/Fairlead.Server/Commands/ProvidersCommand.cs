using System.CommandLine;
using Fairlead.Access;
using Fairlead.Catalogue.Stored;
using Fairlead.Storage;

namespace Fairlead.Server.Commands;

/// <summary>
/// <c>fairlead providers list | delete</c>: the providers that the admin API stored, in the store of this machine. It needs no running
/// server: one does not start whose configuration has the name of a stored provider.
/// </summary>
internal static class ProvidersCommand
{
    public static Command Build()
    {
        var config = StoreCommand.ConfigOption();
        var list = new Command("list", "List the stored providers. Secrets are not shown.");
        list.SetAction((parsed, cancellationToken) => StoreCommand.RunAsync(
            parsed, config, (services, output, _) => ListAsync(services, output, cancellationToken), cancellationToken));

        var name = new Argument<string>("name") { Description = "Name of the provider, as 'providers list' shows it." };
        var delete = new Command("delete", "Delete a stored provider with its keys.") { name };
        delete.SetAction((parsed, cancellationToken) => StoreCommand.RunAsync(
            parsed, config, (services, output, error) => DeleteAsync(services, output, error, parsed.GetValue(name)!, cancellationToken),
            cancellationToken));

        return new Command("providers", "List and delete providers in the store of this machine.") { config, list, delete };
    }

    private static async Task<int> ListAsync(IServiceProvider services, TextWriter output, CancellationToken cancellationToken)
    {
        await using var connection = await services.GetRequiredService<IStorage>().OpenAsync(cancellationToken);
        var rows = await StoredProviderTable.ListAsync(connection, cancellationToken);
        var keys = await StoredProviderTable.KeysAsync(connection, null, cancellationToken);
        await output.WriteLineAsync($"{"NAME",-24}  {"KIND",-16}  {"STATE",-8}  KEYS");
        foreach (var row in rows)
        {
            await output.WriteLineAsync(
                $"{row.Name,-24}  {row.Kind,-16}  {(row.Enabled ? "enabled" : "disabled"),-8}  {keys.Count(key => key.Provider == row.Name)}");
        }
        return 0;
    }

    private static async Task<int> DeleteAsync(
        IServiceProvider services, TextWriter output, TextWriter error, string name, CancellationToken cancellationToken)
    {
        var storage = services.GetRequiredService<IStorage>();
        await using var change = await services.GetRequiredService<AccessChanges>().BeginAsync(cancellationToken);
        if (await StoredProviderTable.FindAsync(change.Connection, storage.Sql.Storable(name), cancellationToken) is not { } row)
        {
            await error.WriteLineAsync($"There is no stored provider {name}. 'fairlead providers list' shows all.");
            return 1;
        }
        var keys = await StoredProviderTable.KeysAsync(change.Connection, row.Name, cancellationToken);
        await StoredProviderTable.DeleteAsync(change.Connection, row.Name, cancellationToken);
        await StoredProviderTable.CountAsync(change.Connection, cancellationToken);
        // In the transaction of the change; a server adds it to its chain.
        var action = new AdminAction(AdminActor.OfCommand(), "provider.delete")
        {
            ResourceType = "provider", ResourceId = row.Name, Before = json => StoredProviderEndpoints.Write(json, row, keys.Count),
        };
        await services.GetRequiredService<IAdminAudit>().RecordAsync(change.Connection, action, cancellationToken);
        await change.CommitAsync(cancellationToken);
        await output.WriteLineAsync($"{row.Name} is deleted; a running server stops using it within 2 s.");
        return 0;
    }
}
