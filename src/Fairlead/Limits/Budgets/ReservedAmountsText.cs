using System.Text;
using System.Text.Json;
using Fairlead.Pipeline;

namespace Fairlead.Limits.Budgets;

/// <summary>The reserved amounts of one process in the database: a JSON array with an array for each entry.</summary>
internal static class ReservedAmountsText
{
    /// <summary>Entries of one process. Beyond this, the smallest are left out.</summary>
    private const int Max = 1000;

    public static string Write(IReadOnlyCollection<ReservedAmount> amounts)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream))
        {
            json.WriteStartArray();
            foreach (var amount in amounts.Count <= Max ? amounts : amounts.OrderByDescending(one => one.PicoUsd).Take(Max))
            {
                json.WriteStartArray();
                json.WriteStringValue(amount.OrganizationId);
                json.WriteStringValue(amount.ProjectId);
                json.WriteStringValue(amount.KeyId);
                json.WriteStringValue(amount.Model);
                json.WriteStringValue(amount.Class);
                json.WriteNumberValue(amount.Hour.ToUnixTimeMilliseconds());
                json.WriteNumberValue(amount.PicoUsd);
                json.WriteEndArray();
            }
            json.WriteEndArray();
        }
        return Encoding.UTF8.GetString(stream.GetBuffer(), 0, (int)stream.Length);
    }

    /// <summary>Adds what <see cref="Write"/> wrote.</summary>
    public static void Read(string text, List<ReservedAmount> found)
    {
        using var document = JsonDocument.Parse(text);
        foreach (var entry in document.RootElement.EnumerateArray())
        {
            found.Add(new ReservedAmount(
                entry[0].GetString()!, entry[1].GetString()!, entry[2].GetString()!, entry[3].GetString()!, entry[4].GetString()!,
                DateTimeOffset.FromUnixTimeMilliseconds(entry[5].GetInt64()), entry[6].GetInt64()));
        }
    }
}
