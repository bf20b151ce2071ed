using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Auditing.Administration;
using Fairlead.Erasure;
using Fairlead.Errors;

namespace Fairlead.Server.Commands;

/// <summary>
/// <c>fairlead audit erase</c>: requests an erasure in the database of this machine, as <c>POST /admin/v1/erasures</c> does. A server does
/// it: the one that runs, or the next that starts.
/// </summary>
internal static class AuditEraseCommand
{
    private const int Refused = 2;

    private static readonly (string Field, string Option, string Description)[] Fields =
    [
        (ErasureRequest.GenerationId, "--generation", "The call with this generation id."),
        (ErasureRequest.KeyId, "--key", "All calls of the key with this id."),
        (ErasureRequest.ProjectId, "--project", "All calls of the project with this id; with --end-user, only those of the end user."),
        (ErasureRequest.EndUser, "--end-user", "All calls whose request names this end user. Needs --project or --organization."),
        (ErasureRequest.OrganizationId, "--organization", "The organization of the end user."),
        ("what", "--what", "all (default): content and audit records; content: content only."),
        ("reason", "--reason", "Why. It is kept, so it must not name whom it is about."),
    ];

    public static Command Build(Func<ParseResult, Func<AuditStore, Task<int>>, CancellationToken, Task<int>> run)
    {
        var command = new Command("erase",
            "Erase calls from all stores: audit, jobs, responses, batches, files, webhooks, idempotency keys and cache. A running server does it, "
            + "or the next one that starts. It cannot be undone.");
        var options = Fields.Select(field => (field.Field, Option: new Option<string?>(field.Option) { Description = field.Description, HelpName = "value" })).ToList();
        foreach (var (_, option) in options) command.Add(option);
        command.SetAction((parsed, cancellationToken) =>
        {
            var body = new JsonObject();
            foreach (var (field, option) in options)
            {
                if (parsed.GetValue(option) is { } value) body[field] = value;
            }
            return run(parsed, store => EraseAsync(store, body, cancellationToken), cancellationToken);
        });
        return command;
    }

    private static async Task<int> EraseAsync(AuditStore store, JsonObject body, CancellationToken cancellationToken)
    {
        using var document = JsonDocument.Parse(body.ToJsonString());
        ErasureRow row;
        try
        {
            await using var connection = await store.Storage.OpenAsync(cancellationToken);
            row = await ErasureRequest.Read(document.RootElement).ToRowAsync(connection, AdminReach.All, TimeProvider.System, cancellationToken);
        }
        catch (GatewayErrorException refused)
        {
            foreach (var fault in refused.Error.Faults)
                await store.Error.WriteLineAsync($"{OptionOf(fault.Pointer)}: {fault.Detail}");
            return Refused;
        }
        await new ErasureBook(store.Storage, new CommandAudit()).AddAsync(row, AdminActor.OfCommand(), cancellationToken);
        await store.Output.WriteLineAsync(
            $"Requested erasure {row.Id}. GET /admin/v1/erasures/{row.Id} shows how far it is.");
        return 0;
    }

    private static string OptionOf(string pointer)
    {
        foreach (var (field, option, _) in Fields)
        {
            if (pointer == "/" + field) return option;
        }
        return pointer;
    }

    /// <summary>The record goes into the transaction; a server adds it to its chain.</summary>
    private sealed class CommandAudit : IAdminAudit
    {
        public Task RecordAsync(System.Data.Common.DbConnection connection, AdminAction action, CancellationToken cancellationToken) =>
            ChangeTable.AddAsync(connection, AdminRecordWriter.Write(action, TimeProvider.System), cancellationToken);

        public void Committed()
        {
        }

        public void Record(AdminAction action)
        {
        }
    }
}
