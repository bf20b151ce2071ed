using System.Buffers;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Fairlead.Access;
using Fairlead.Conversation;

namespace Fairlead.Auditing.Administration;

/// <summary>Writes the record of an administrator's action. <see cref="Records.ShippedCall.ReadAdministration"/> reads it.</summary>
internal static class AdminRecordWriter
{
    /// <summary>A value before or after a change that is longer is left out, so that a record fits into the spool.</summary>
    internal const int MaxValueBytes = 64 * 1024;

    private static readonly JsonWriterOptions Options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static byte[] Write(AdminAction action, TimeProvider time)
    {
        var actor = action.Actor;
        var output = new ArrayBufferWriter<byte>(1024);
        using var json = new Utf8JsonWriter(output, Options);
        json.WriteStartObject();
        json.WriteString("id", Ids.New("aud_", time));
        json.WriteString("at", time.GetUtcNow().UtcDateTime);
        json.WriteString("type", "admin");
        json.WriteString("request_id", actor.RequestId);
        json.WriteString("organization_id", action.OrganizationId ?? actor.OrganizationId);
        json.WriteString("project_id", action.ProjectId);
        json.WriteString("key_id", actor.KeyId);
        json.WriteStartObject("actor");
        json.WriteString("kind", actor.Kind);
        json.WriteString("name", actor.Name);
        json.WriteEndObject();
        var address = actor.Address is { IsIPv4MappedToIPv6: true } mapped ? mapped.MapToIPv4() : actor.Address;
        json.WriteString("address", address?.ToString());
        json.WriteString("action", action.Name);
        if (action.ResourceType is null)
        {
            json.WriteNull("resource");
        }
        else
        {
            json.WriteStartObject("resource");
            json.WriteString("type", action.ResourceType);
            json.WriteString("id", action.ResourceId);
            json.WriteEndObject();
        }
        Write(json, "before", action.Before);
        Write(json, "after", action.After);
        json.WriteString("outcome", action.ErrorCode is null ? "complete" : "failed");
        json.WriteString("error_code", action.ErrorCode);
        if (action.Status is { } status) json.WriteNumber("status", status);
        else json.WriteNull("status");
        if (action.Suppressed > 0) json.WriteNumber("suppressed", action.Suppressed);
        json.WriteEndObject();
        json.Flush();
        return output.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, string name, Action<Utf8JsonWriter>? value)
    {
        json.WritePropertyName(name);
        if (value is null)
        {
            json.WriteNullValue();
            return;
        }
        var output = new ArrayBufferWriter<byte>(1024);
        using (var inner = new Utf8JsonWriter(output, Options)) value(inner);
        if (output.WrittenCount <= MaxValueBytes)
        {
            json.WriteRawValue(output.WrittenSpan, skipInputValidation: true);
            return;
        }
        json.WriteStartObject();
        json.WriteString("omitted", $"{output.WrittenCount} bytes");
        json.WriteEndObject();
    }
}
