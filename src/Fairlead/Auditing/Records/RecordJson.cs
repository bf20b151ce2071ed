using System.Text.Json;

namespace Fairlead.Auditing.Records;

/// <summary>How deep audit records may be, for whoever writes or reads them.</summary>
internal static class RecordJson
{
    /// <summary>Maximum levels of a record with its content, in a page of records.</summary>
    public const int MaxDepth = 64;

    /// <summary>
    /// Maximum levels of the recorded request or response. What is deeper is left out, so that a record with its content, and a page with
    /// such records, is below <see cref="MaxDepth"/>, which is also what most readers of JSON allow.
    /// </summary>
    public const int MaxContentDepth = 48;

    /// <summary>For readers of records.</summary>
    public static readonly JsonDocumentOptions Reading = new() { MaxDepth = MaxDepth };
}
