using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Fairlead.Auditing.Blocks;
using Fairlead.Auditing.Chain;

namespace Fairlead.Auditing.Content;

/// <summary>
/// The signed statement that the content of a record was removed, and why: whoever deletes content without the key is found.
/// </summary>
/// <param name="Reason">Why, as <see cref="RemovalReasonName"/> writes it.</param>
/// <param name="At">When, in milliseconds since 1970.</param>
internal sealed record ContentRemoval(string Reason, long At)
{
    public string KeyId { get; init; } = "";

    public byte[] Signature { get; init; } = [];

    /// <summary>The signed bytes.</summary>
    public byte[] StatementFor(string node, long sequence, byte[] hash) => Encoding.UTF8.GetBytes(string.Create(
        CultureInfo.InvariantCulture,
        $"fairlead audit content removal 1\n{node}\n{sequence}\n{Convert.ToHexStringLower(hash)}\n{Reason}\n{At}"));

    /// <summary>The statement as JSON, signed if there is a key.</summary>
    public static string Sign(ContentRow row, RemovalReason reason, AuditSigner? signer, DateTimeOffset now)
    {
        var removal = new ContentRemoval(reason.ToWire(), now.ToUnixTimeMilliseconds());
        return new JsonObject
        {
            ["reason"] = removal.Reason,
            ["at"] = removal.At,
            ["key_id"] = signer?.KeyId ?? "",
            ["signature"] = signer is null
                ? "" : Convert.ToBase64String(signer.Sign(removal.StatementFor(row.Node, row.Sequence, row.Hash))),
        }.ToJsonString();
    }

    /// <summary>Reads what <see cref="Sign"/> wrote; null if it is something else.</summary>
    public static ContentRemoval? Parse(string? json)
    {
        if (json is null) return null;
        try
        {
            if (JsonNode.Parse(json) is not JsonObject read) return null;
            return new ContentRemoval((string)read["reason"]!, (long)read["at"]!)
            {
                KeyId = (string)read["key_id"]!,
                Signature = Convert.FromBase64String((string)read["signature"]!),
            };
        }
        catch (Exception e) when (e is JsonException or FormatException or InvalidOperationException or ArgumentException
            or NullReferenceException)
        {
            return null;
        }
    }
}
