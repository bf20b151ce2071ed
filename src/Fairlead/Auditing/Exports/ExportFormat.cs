namespace Fairlead.Auditing.Exports;

/// <summary>The format of exported audit records.</summary>
internal enum ExportFormat
{
    /// <summary>One JSON object a line, as the list of records shows it.</summary>
    JsonLines,

    /// <summary>RFC 4180, with a line of names.</summary>
    Csv,

    Parquet,
}

internal static class ExportFormats
{
    /// <summary>In the order of the enumeration.</summary>
    public static readonly string[] Names = ["jsonl", "csv", "parquet"];

    public static string ToWire(this ExportFormat format) => Names[(int)format];

    public static ExportFormat Parse(string name) => (ExportFormat)Array.IndexOf(Names, name);

    public static string ContentType(this ExportFormat format) => format switch
    {
        ExportFormat.JsonLines => "application/jsonl",
        ExportFormat.Csv => "text/csv; charset=utf-8",
        _ => "application/vnd.apache.parquet",
    };

    /// <summary>A writer of records to a stream, which stays open.</summary>
    public static async ValueTask<IRecordWriter> WriterAsync(this ExportFormat format, Stream output, CancellationToken cancellationToken) =>
        format switch
        {
            ExportFormat.JsonLines => new JsonLinesRecordWriter(output),
            ExportFormat.Csv => new CsvRecordWriter(output),
            _ => await ParquetRecordWriter.CreateAsync(output, cancellationToken),
        };
}
