using System.Net;
using System.Text.Json;

namespace Fairlead.Access;

/// <summary>One action of an administrator. Values never contain a secret or the hash of one.</summary>
/// <param name="Actor">Who did it.</param>
/// <param name="Name">What was done: the kind of the resource and a verb, such as <c>key.create</c>.</param>
internal sealed record AdminAction(AdminActor Actor, string Name)
{
    public const string SignIn = "admin.sign_in";

    public const string Refused = "admin.refused";

    /// <summary>Recorded content of calls was asked for.</summary>
    public const string ReadContent = "audit.read_content";

    /// <summary>The kind of the resource, such as <c>key</c>; null if the action has none.</summary>
    public string? ResourceType { get; init; }

    public string? ResourceId { get; init; }

    /// <summary>The organization of the resource, if it has one.</summary>
    public string? OrganizationId { get; init; }

    public string? ProjectId { get; init; }

    /// <summary>Writes the resource before the change; null if there was none.</summary>
    public Action<Utf8JsonWriter>? Before { get; init; }

    /// <summary>Writes the resource after the change; null if there is none.</summary>
    public Action<Utf8JsonWriter>? After { get; init; }

    /// <summary>Why the action was refused: a code of the list of errors. Null if it was done.</summary>
    public string? ErrorCode { get; init; }

    /// <summary>The HTTP status; null for an action that did not come by HTTP.</summary>
    public int? Status { get; init; }

    /// <summary>What <paramref name="write"/> writes now, for later: the object it writes may change.</summary>
    public static Action<Utf8JsonWriter> Keep(Action<Utf8JsonWriter> write)
    {
        var kept = new System.Buffers.ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(kept)) write(json);
        return json => json.WriteRawValue(kept.WrittenSpan, skipInputValidation: true);
    }

    /// <summary>Equal attempts that were left out since the last record of their kind.</summary>
    public int Suppressed { get; init; }
}

/// <summary>Who acts: a key by HTTP, a command on this machine, or the server itself.</summary>
/// <param name="Kind">One of the constants.</param>
internal sealed record AdminActor(string Kind)
{
    public const string Key = "key";

    public const string Command = "command";

    public const string Server = "server";

    public const string Unknown = "unknown";

    /// <summary>The server itself, such as at its first start.</summary>
    public static readonly AdminActor OfServer = new(Server);

    /// <summary>Null for a command, or if the key is not one of this server.</summary>
    public string? KeyId { get; init; }

    /// <summary>Name of the key, or of the user of the operating system who ran the command.</summary>
    public string? Name { get; init; }

    /// <summary>The organization of the key.</summary>
    public string? OrganizationId { get; init; }

    public IPAddress? Address { get; init; }

    public string? RequestId { get; init; }

    /// <summary>A command of this program that the user of this machine runs.</summary>
    public static AdminActor OfCommand() => new(Command) { Name = Environment.UserName };

    public static AdminActor Of(Caller caller, IPAddress? address, string requestId) => new(Key)
    {
        KeyId = caller.KeyId,
        Name = caller.KeyName,
        OrganizationId = caller.OrganizationId,
        Address = address,
        RequestId = requestId,
    };
}
