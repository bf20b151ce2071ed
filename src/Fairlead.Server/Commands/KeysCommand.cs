using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Access;
using Fairlead.Conversation;
using Fairlead.Errors;
using Fairlead.Http;
using Fairlead.Storage;

namespace Fairlead.Server.Commands;

/// <summary>
/// <c>fairlead keys create | list | revoke</c>, on the store of this machine. A running server applies changes within 2 s.
/// </summary>
internal static class KeysCommand
{
    public static Command Build()
    {
        var config = StoreCommand.ConfigOption();
        var name = new Argument<string>("name") { Description = "What the key is for, such as 'ci' or 'chat-app'." };
        var scopes = new Option<string[]>("--scope")
        {
            Description = $"Scope of the key; repeat for several. One of {string.Join(", ", Scopes.All)}. Default: "
                + $"{string.Join(", ", Scopes.Default)}; none if it has a role.",
            HelpName = "scope",
        };
        var role = new Option<string?>("--role")
        {
            Description = "What it may do in administration: one of "
                + $"{string.Join(", ", AdminRoles.Names)} (of the project's organization). Default: nothing.",
            HelpName = "role",
        };
        var models = new Option<string[]>("--model")
        {
            Description = "A model that it may use; repeat for several. Default: all models.",
            HelpName = "model",
        };
        var project = new Option<string?>("--project") { Description = "Id of its project. Default: the first project.", HelpName = "id" };
        var create = new Command("create", "Create a key and print it once.") { name, scopes, role, models, project };
        create.SetAction((parsed, cancellationToken) => StoreCommand.RunAsync(parsed, config, (services, output, error) =>
            CreateAsync(services, output, error, parsed.GetValue(name)!, parsed.GetValue(scopes) ?? [], parsed.GetValue(role),
                parsed.GetValue(models), parsed.GetValue(project), cancellationToken), cancellationToken));

        var list = new Command("list", "List the keys. Secrets are not stored.");
        list.SetAction((parsed, cancellationToken) => StoreCommand.RunAsync(parsed, config, (services, output, _) =>
            ListAsync(services, output, cancellationToken), cancellationToken));

        var id = new Argument<string>("id") { Description = "Id of the key (key_…), as 'keys list' shows it." };
        var revoke = new Command("revoke", "Revoke a key permanently.") { id };
        revoke.SetAction((parsed, cancellationToken) => StoreCommand.RunAsync(parsed, config, (services, output, error) =>
            RevokeAsync(services, output, error, parsed.GetValue(id)!, cancellationToken), cancellationToken));

        return new Command("keys", "Create, list and revoke keys in the store of this machine.") { config, create, list, revoke };
    }

    private static async Task<int> CreateAsync(
        IServiceProvider services, TextWriter output, TextWriter error, string name, string[] scopes, string? role, string[]? models,
        string? project, CancellationToken cancellationToken)
    {
        if (string.IsNullOrWhiteSpace(name) || name.Length > 128)
        {
            await error.WriteLineAsync("A name must have 1 to 128 characters.");
            return 1;
        }
        if (scopes.FirstOrDefault(s => !Scopes.All.Contains(s)) is { } unknown)
        {
            await error.WriteLineAsync($"'{unknown}' is not a scope. Use one of {string.Join(", ", Scopes.All)}.");
            return 1;
        }
        if (role is not null && AdminRoles.Find(role) is null)
        {
            await error.WriteLineAsync($"'{role}' is not a role. Use one of {string.Join(", ", AdminRoles.Names)}.");
            return 1;
        }
        var time = services.GetRequiredService<TimeProvider>();
        var now = time.GetUtcNow();
        if (Read(name, scopes, role, models, now, out var faults) is not { } wanted)
        {
            foreach (var fault in faults) await error.WriteLineAsync($"{fault.Pointer[1..]}: {fault.Detail}");
            return 1;
        }
        await using var change = await services.GetRequiredService<AccessChanges>().BeginAsync(cancellationToken);
        var owner = project is null
            ? await ProjectTable.FirstAsync(change.Connection, cancellationToken)
            : await ProjectTable.FindAsync(change.Connection, project, cancellationToken);
        if (owner is null)
        {
            if (project is not null)
            {
                await error.WriteLineAsync($"There is no project {project}.");
                return 1;
            }
            // The server was configured not to make keys of its own.
            var organization = new OrganizationRow { Id = Ids.New("org_", time), Name = "default", CreatedAt = now, UpdatedAt = now };
            owner = new ProjectRow
            {
                Id = Ids.New("proj_", time), OrganizationId = organization.Id, Name = "default", CreatedAt = now, UpdatedAt = now,
            };
            await OrganizationTable.InsertAsync(change.Connection, organization, cancellationToken);
            await ProjectTable.InsertAsync(change.Connection, owner, cancellationToken);
        }
        var secret = ApiKeyText.New();
        if (AdminRoles.Find(wanted.Role) == AdminRole.OrganizationAdmin) wanted.AdministerOrganization(owner.OrganizationId);
        var key = wanted.ToRow(Ids.New("key_", time), owner.Id, now);
        key.Secrets.Add(new ApiKeySecretRow { PublicId = secret.PublicId, KeyId = key.Id, Hash = secret.Hash, CreatedAt = now });
        await KeyTable.InsertAsync(change.Connection, key, cancellationToken);
        await RecordAsync(services, change, "create", key, owner, null, json => KeyJson.Write(json, key, now), cancellationToken);
        await change.CommitAsync(cancellationToken);
        await output.WriteLineAsync($"{key.Id}  {name}");
        await output.WriteLineAsync(secret.Text);
        await error.WriteLineAsync("Store it now: it is shown only once.");
        return 0;
    }

    // In the transaction of the change; a server adds it to its chain.
    private static Task RecordAsync(
        IServiceProvider services, AccessChange change, string verb, ApiKeyRow key, ProjectRow? project, Action<Utf8JsonWriter>? before,
        Action<Utf8JsonWriter>? after, CancellationToken cancellationToken)
    {
        var action = new AdminAction(AdminActor.OfCommand(), "key." + verb)
        {
            ResourceType = "key", ResourceId = key.Id, OrganizationId = project?.OrganizationId, ProjectId = key.ProjectId, Before = before,
            After = after,
        };
        return services.GetRequiredService<IAdminAudit>().RecordAsync(change.Connection, action, cancellationToken);
    }

    /// <summary>The key that the same fields make over the admin API, so that both have the same rules; null if some are invalid.</summary>
    private static KeyFields? Read(
        string name, string[] scopes, string? role, string[]? models, DateTimeOffset now, out IReadOnlyList<FieldError> faults)
    {
        var body = new JsonObject { ["name"] = name };
        if (scopes.Length > 0) body["scopes"] = new JsonArray([.. scopes.Select(scope => (JsonNode)scope)]);
        if (role is not null) body["role"] = role;
        if (models is { Length: > 0 }) body["models"] = new JsonArray([.. models.Select(model => (JsonNode)model)]);
        using var document = JsonDocument.Parse(body.ToJsonString());
        faults = [];
        try
        {
            var fields = new BodyFields(document.RootElement, KeyFields.New);
            var key = KeyFields.ReadNew(fields, now);
            fields.ThrowIfInvalid();
            return key;
        }
        catch (GatewayErrorException invalid)
        {
            faults = invalid.Error.Faults;
            return null;
        }
    }

    private static async Task<int> ListAsync(IServiceProvider services, TextWriter output, CancellationToken cancellationToken)
    {
        var now = services.GetRequiredService<TimeProvider>().GetUtcNow();
        await using var connection = await services.GetRequiredService<IStorage>().OpenAsync(cancellationToken);
        var keys = await KeyTable.ListAsync(connection, after: "", projectId: null, organizationId: null, limit: null, cancellationToken);
        await output.WriteLineAsync($"{"ID",-30}  {"NAME",-20}  {"STATE",-8}  {"CREATED",-10}  {"ROLE",-18}  SCOPES");
        foreach (var key in keys)
        {
            var state = key.RevokedAt is not null ? "revoked" : key.ExpiresAt <= now ? "expired" : "active";
            await output.WriteLineAsync(
                $"{key.Id,-30}  {key.Name,-20}  {state,-8}  {key.CreatedAt:yyyy-MM-dd}  {key.Role,-18}  {string.Join(' ', key.Scopes)}");
        }
        return 0;
    }

    private static async Task<int> RevokeAsync(
        IServiceProvider services, TextWriter output, TextWriter error, string id, CancellationToken cancellationToken)
    {
        await using var change = await services.GetRequiredService<AccessChanges>().BeginAsync(cancellationToken);
        if (await KeyTable.FindAsync(change.Connection, id, cancellationToken) is not { } key)
        {
            await error.WriteLineAsync($"There is no key {id}. 'fairlead keys list' shows all.");
            return 1;
        }
        if (key.RevokedAt is null)
        {
            var now = services.GetRequiredService<TimeProvider>().GetUtcNow();
            var before = AdminAction.Keep(json => KeyJson.Write(json, key, now));
            await KeyTable.RevokeAsync(change.Connection, id, now, cancellationToken);
            key.RevokedAt = key.UpdatedAt = now;
            var owner = await ProjectTable.FindAsync(change.Connection, key.ProjectId, cancellationToken);
            await RecordAsync(services, change, "revoke", key, owner, before, json => KeyJson.Write(json, key, now), cancellationToken);
        }
        await change.CommitAsync(cancellationToken);
        await output.WriteLineAsync($"{id} is revoked; a running server refuses it within 2 s.");
        return 0;
    }
}
